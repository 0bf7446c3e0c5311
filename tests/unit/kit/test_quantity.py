import decimal
import time

import hypothesis
import hypothesis.strategies as st
import pytest

from boxfleet.kit import quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [("500m", "0.5"), ("2", "2"), (2, "2"), (0.1, "0.1"), ("1Gi", str(2**30)), ("1.5Ki", "1536"), ("1e3", "1000"),
     ("-3", "-3"), (".5", "0.5"), ("+1k", "1000"), ("3E", "3e18"), ("1E2", "100"), ("7n", "7e-9")],
)  # fmt: skip
def test_parse(text: str | int | float, value: str) -> None:
    assert quantity.parse(text) == decimal.Decimal(value)


@pytest.mark.parametrize("text", ["", "1x", "x", "1 Gi", "1gi", "1.2.3", "Gi", "1e99999999", "--1", "1" * 40, "٣"])
def test_refuses_what_is_no_quantity(text: str) -> None:
    assert not quantity.is_quantity(text)
    with pytest.raises(ValueError, match="is not a quantity"):
        quantity.parse(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [("1000m", "1"), ("1024Mi", "1Gi"), ("0.5", "500m"), ("100000", "100k"), ("1e3", "1e3"), ("1000e3", "1e6"),
     ("1.5Gi", "1536Mi"), ("512Ki", "512Ki"), ("0", "0"), ("0Gi", "0"), ("-1500m", "-1500m"), (2, "2"), (0.1, "100m"),
     ("0.5Ki", "512"), ("1e-12", "1e-9"), ("0.0000000001", "1n"), ("1048576", "1048576"), ("2000Mi", "2000Mi"),
     ("0.581Gi", "623844k")],
)  # fmt: skip
def test_canonical(text: str | int | float, written: str) -> None:
    assert quantity.canonical(text) == written


@pytest.mark.parametrize("text", ["9" * 30 + "Ei", "9" * 30 + "." + "9" * 30 + "E", "9e999", "9223372036854775808"])
def test_amounts_have_a_largest_one_and_can_be_read_again(text: str) -> None:
    assert quantity.canonical(text) == str(2**63 - 1)
    assert quantity.canonical(f"-{text}") == str(1 - 2**63)
    assert quantity.whole(quantity.canonical(text)) == 2**63 - 1


def test_the_longest_amounts_cost_little() -> None:
    started = time.process_time()
    for text in ("9" * 30 + "." + "9" * 30 + "e999", "9e-999", "9" * 30 + "E", "9e999"):
        quantity.canonical(text)
        quantity.milli(text)
    assert time.process_time() - started < 1


amounts = st.builds(
    lambda number, suffix: f"{number}{suffix}",
    st.decimals(min_value=0, max_value=10**6, places=3).map(lambda number: f"{number:f}"),
    st.sampled_from(["", "m", "k", "M", "G", "Ki", "Mi", "Gi", "e3", "e-3"]),
)


@hypothesis.given(amounts)
def test_canonical_form_is_stable_and_exact_where_it_can_be(text: str) -> None:
    written = quantity.canonical(text)
    assert quantity.canonical(written) == written
    before, after = quantity.parse(text), quantity.parse(written)
    # Never less, and not a whole piece more.
    assert before <= after < before + 1


@hypothesis.given(st.integers(min_value=0, max_value=2**62))
def test_whole_units_survive_writing(value: int) -> None:
    assert quantity.whole(quantity.from_bytes(value)) == value
    assert quantity.milli(quantity.from_milli(value)) == value
