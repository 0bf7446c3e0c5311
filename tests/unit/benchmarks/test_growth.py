"""The picture of growth: true to its record."""

import math
import xml.etree.ElementTree as ElementTree

import pytest
from benchmarks import growth, plot

SVG = "{http://www.w3.org/2000/svg}"


def test_points_lie_where_their_logarithms_are() -> None:
    line = plot.Line(name="a < b", points=[(1.0, 1.0), (10.0, 10.0), (100.0, 100.0)])
    root = ElementTree.fromstring(plot.svg([plot.Panel(title="t", x="x", lines=[line])]))
    circles = [(float(one.attrib["cx"]), float(one.attrib["cy"])) for one in root.iter(f"{SVG}circle")]
    assert len(circles) == 3
    (left, low), (middle, half), (right, high) = circles
    assert left < right
    assert low > high
    assert math.isclose(middle - left, right - middle, abs_tol=0.2)
    assert math.isclose(low - half, half - high, abs_tol=0.2)
    assert "a < b" in [one.text for one in root.iter(f"{SVG}text")]


@pytest.mark.parametrize(
    ("values", "expected"), [([3.0, 70.0], (0, 2)), ([10.0], (1, 2)), ([0.02, 0.5], (-2, 0)), ([1.0, 1000.0], (0, 3))]
)
def test_axes_hold_all_values(values: list[float], expected: tuple[int, int]) -> None:
    assert plot.decades(values) == expected


def test_the_page_has_the_picture_of_the_newest_record() -> None:
    assert growth.PICTURE.read_text() == growth.draw()
    assert growth.PICTURE.name in growth.PICTURE.with_name("benchmarks.md").read_text()


def test_a_figure_that_does_not_say_how_many_is_refused() -> None:
    with pytest.raises(ValueError, match="how many"):
        growth.panels([{"name": "memory", "value": 1.0}])
