import gc
import weakref
from collections.abc import Iterator

import pytest

from boxfleet.kit import collector


class _Knot:
    def __init__(self) -> None:
        self.own = self


@pytest.fixture
def collecting() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


@pytest.mark.usefixtures("collecting")
def test_what_is_there_is_set_aside() -> None:
    collector.settle()
    assert gc.get_freeze_count() > 1000
    assert gc.get_threshold()[0] > 700


@pytest.mark.usefixtures("collecting")
def test_later_cycles_are_still_collected() -> None:
    collector.settle()
    knot = _Knot()
    gone = weakref.ref(knot)
    del knot
    # More objects than are waited for: the collector comes by itself.
    kept = [[] for _ in range(2 * gc.get_threshold()[0])]
    assert gone() is None
    assert kept
