"""The supervised processes and the API on the status screen."""

import json
import pathlib
from typing import Any

import pytest

from boxfleet.app import supervision
from boxfleet.cli import service_view
from boxfleet.planning import health

URL = "https://127.0.0.1:1"


def server(**more: Any) -> supervision.ServiceState:
    return supervision.ServiceState(name="server", **more)


def log(folder: pathlib.Path, *lines: str) -> pathlib.Path:
    (folder / "server").mkdir()
    (folder / "server" / "current").write_text("".join(f"{line}\n" for line in lines))
    return folder


def line(level: str, event: str, *, second: int = 0, **more: str) -> str:
    return json.dumps({"time": f"2030-01-01T12:00:{second:02}.5Z", "level": level, "event": event, **more})


def part(state: supervision.ServiceState, logs: pathlib.Path) -> health.Part:
    (found,) = service_view.parts([state], logs)
    return found


@pytest.mark.parametrize(
    ("state", "level", "words"),
    [
        (server(up=True, pid=7, seconds=90), "well", "process 7, up 90s"),
        (server(up=True, pid=7, seconds=1), "waiting", "process 7, up 1s, starting"),
        (server(up=False, seconds=1), "waiting", "ended 1s ago, is being started again"),
        (server(up=False, seconds=9), "not well", "down"),
        (server(up=False, seconds=1, wanted=False), "not well", "down"),
        (server(up=False, supervised=False), "not well", "down"),
        (server(up=True, pid=7, seconds=1, crashing=True), "not well", "process 7, up 1s"),
    ],
)
def test_a_process_that_is_started_again_is_on_its_way(
    tmp_path: pathlib.Path, state: supervision.ServiceState, level: str, words: str
) -> None:
    found = part(state, tmp_path)
    assert (found.level.value, found.summary) == (level, words)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([line("info", "serving")], "it does not run"),
        ([line("error", "cannot listen", cause="in use"), line("info", "stopped", second=3)], "cannot listen: in use"),
        ([line("error", "failed", exception="Traceback\n  x\nKeyError: 'a'")], "failed: KeyError: 'a'"),
        ([line("info", "starts"), "ModuleNotFoundError: no x"], "ModuleNotFoundError: no x"),
        ([line("error", "old").replace("T12", "T11"), line("info", "serving")], "it does not run"),
        ([], "it does not run"),
    ],
)
def test_only_what_went_wrong_is_shown_of_a_log_as_text(tmp_path: pathlib.Path, lines: list[str], words: str) -> None:
    (trouble,) = part(server(up=False, seconds=60), log(tmp_path, *lines)).troubles
    assert (trouble.reason, trouble.message) == ("Down", words)


def test_a_crash_loop_says_so_with_its_cause(tmp_path: pathlib.Path) -> None:
    (trouble,) = part(server(up=False, crashing=True), log(tmp_path, line("error", "cannot listen"))).troubles
    assert (trouble.reason, trouble.message) == ("CrashLoop", "it ends again and again: cannot listen")


@pytest.mark.parametrize(
    ("state", "is_away", "level"),
    [
        (server(up=True, seconds=3), True, "waiting"),
        (server(up=False, seconds=1), True, "waiting"),
        (server(up=True, seconds=3), False, "not well"),
        (server(up=True, seconds=300), True, "not well"),
        (server(up=False, seconds=1, wanted=False), True, "not well"),
        (server(up=True, seconds=3, crashing=True), True, "not well"),
    ],
)
def test_an_api_that_is_silent_while_its_server_starts_is_on_its_way(
    tmp_path: pathlib.Path, state: supervision.ServiceState, is_away: bool, level: str
) -> None:
    assert service_view.silent_api(URL, "refused", [state], tmp_path, is_away=is_away).level.value == level


def test_an_api_elsewhere_is_asked_by_the_kubeconfig(tmp_path: pathlib.Path) -> None:
    (trouble,) = service_view.silent_api(URL, "refused", [], tmp_path, is_away=True).troubles
    assert trouble.advice == "is it the right kubeconfig?"
