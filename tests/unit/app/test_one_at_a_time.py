"""Commands that start or stop do not cross each other."""

import pathlib
import threading

from boxfleet.app import lifecycle, paths, settings


def test_who_waited_and_who_comes_later_are_not_in_at_once(tmp_path: pathlib.Path) -> None:
    where = paths.of(settings.All(state=str(tmp_path / "state"), run=str(tmp_path / "run")))
    inside: list[str] = []
    waiting, entered, leave = threading.Event(), threading.Event(), threading.Event()

    def second() -> None:
        with lifecycle.one_at_a_time(where, say=lambda _: waiting.set()):
            inside.append("second")
            entered.set()
            assert leave.wait(10)
            inside.append("second leaves")

    def third(told: threading.Event) -> None:
        with lifecycle.one_at_a_time(where, say=lambda _: told.set()):
            inside.append("third")

    with lifecycle.one_at_a_time(where, say=lambda _: None):
        after_first = threading.Thread(target=second)
        after_first.start()
        assert waiting.wait(10)
    assert entered.wait(10)
    told = threading.Event()
    late = threading.Thread(target=third, args=(told,))
    late.start()
    assert told.wait(10)
    leave.set()
    for thread in (after_first, late):
        thread.join(10)
    assert inside == ["second", "second leaves", "third"]
    assert list(tmp_path.iterdir()) == []
