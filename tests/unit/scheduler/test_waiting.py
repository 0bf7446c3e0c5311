"""Who fits nowhere: what brings him back, and when."""

import pytest

from boxfleet.api import meta
from boxfleet.kit import backoff
from boxfleet.scheduler import waiting

A, B = meta.Key("default", "a"), meta.Key("default", "b")


class Bed:
    def __init__(self) -> None:
        self.brought: list[tuple[meta.Key, float]] = []
        self.waiting = waiting.Waiting(
            backoff=backoff.Backoff(initial=1.0, limit=4.0),
            again=lambda key, seconds: self.brought.append((key, seconds)),
        )

    def take(self) -> list[tuple[meta.Key, float]]:
        brought, self.brought = self.brought, []
        return brought


@pytest.fixture
def bed() -> Bed:
    return Bed()


def test_each_look_in_vain_makes_the_next_one_later(bed: Bed) -> None:
    bed.waiting.put(A, "no room", now=100.0, minds_others=False)
    bed.waiting.help(now=100.0)
    assert bed.take() == [(A, 0.0)]
    for delay in (1.0, 2.0, 4.0, 4.0):
        bed.waiting.put(A, "no room", now=100.0, minds_others=False)
        bed.waiting.help(now=100.25)
        assert bed.take() == [(A, delay - 0.25)]


def test_who_waited_long_enough_is_looked_at_at_once(bed: Bed) -> None:
    for _ in range(5):
        bed.waiting.put(A, "no room", now=100.0, minds_others=False)
    bed.waiting.help(now=104.0)
    assert bed.take() == [(A, 0.0)]


def test_however_much_happens_one_is_brought_back_once(bed: Bed) -> None:
    bed.waiting.put(A, "no room", now=100.0, minds_others=True)
    bed.waiting.help(now=100.0)
    bed.waiting.help(now=100.5)
    bed.waiting.help_minding(now=101.0)
    assert bed.take() == [(A, 0.0)]


def test_neighbours_bring_back_only_those_that_mind_them(bed: Bed) -> None:
    bed.waiting.put(A, "no room", now=100.0, minds_others=False)
    bed.waiting.put(B, "no such neighbour", now=100.0, minds_others=True)
    bed.waiting.help_minding(now=101.0)
    assert bed.take() == [(B, 0.0)]
    bed.waiting.help(now=101.0)
    assert bed.take() == [(A, 0.0)]


def test_only_what_is_new_is_news(bed: Bed) -> None:
    def put(message: str) -> bool:
        return bed.waiting.put(A, message, now=0.0, minds_others=False)

    assert (put("no room"), put("no room"), put("no node")) == (True, False, True)
    bed.waiting.forget_word(A)
    assert put("no node")


def test_who_was_dropped_begins_anew(bed: Bed) -> None:
    for _ in range(3):
        bed.waiting.put(A, "no room", now=100.0, minds_others=True)
    bed.waiting.drop(A)
    bed.waiting.help(now=100.0)
    bed.waiting.help_minding(now=100.0)
    assert bed.take() == []
    assert bed.waiting.put(A, "no room", now=100.0, minds_others=True)
    bed.waiting.help(now=100.0)
    assert bed.take() == [(A, 0.0)]
