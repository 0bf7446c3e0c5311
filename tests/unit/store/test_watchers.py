"""Who is told of a change, by prefix and by what they look at."""

from collections.abc import Iterable

import pytest

from boxfleet.store import alarms, rows

pytestmark = pytest.mark.anyio


def _value(change: rows.Change) -> Iterable[str]:
    return [change.value.decode()]


def _watcher(watchers: rows.Watchers, value: str | None) -> rows.Subscription:
    one = rows.Subscription(
        prefix="a/",
        after=0,
        backlog=10,
        backlog_bytes=1000,
        leave=watchers.discard,
        alarms=alarms.Alarms(),
        topic=None if value is None else rows.Topic(_value, value),
    )
    watchers.add(one)
    return one


def _told(watchers: rows.Watchers, *those: rows.Subscription) -> list[int]:
    watchers.tell(rows.Change(1, "a/x", b"v", None, 0, False))
    return [len(one.take_waiting()) for one in those]


async def test_several_of_one_value_come_and_go() -> None:
    watchers = rows.Watchers()
    first, second, third = (_watcher(watchers, "v") for _ in range(3))
    other, every = _watcher(watchers, "w"), _watcher(watchers, None)
    assert _told(watchers, first, second, third, other, every) == [1, 1, 1, 0, 1]
    second.close()
    # Leaving twice is leaving once, and a stranger does not leave.
    watchers.discard(second)
    assert _told(watchers, first, second, third, every) == [1, 0, 1, 1]
    first.close()
    watchers.discard(first)
    third.close()
    assert len(watchers) == 2
    assert _told(watchers, first, third, every) == [0, 0, 1]
    again = _watcher(watchers, "v")
    assert _told(watchers, again) == [1]
    watchers.discard(first)
    watchers.close_all()
    assert [again.closed, other.closed, every.closed, len(watchers)] == [True, True, True, 0]


async def test_one_who_waits_is_woken_by_a_change_and_by_the_end() -> None:
    watchers = rows.Watchers()
    one = _watcher(watchers, "v")
    wake = one.ready(timeout=60)
    assert wake is not None
    assert not wake.done()
    watchers.tell(rows.Change(1, "a/x", b"v", None, 0, False))
    assert wake.done()
    one.settled()
    # There is something already.
    assert one.ready(timeout=60) is None
    assert len(one.take_waiting()) == 1
    wake = one.ready(timeout=60)
    assert wake is not None
    one.close()
    assert wake.done()
    assert one.ready(timeout=60) is None
