"""How the supervised processes and the API are, for the status screen: from what s6 and their logs say."""

import datetime
import json
import pathlib
from collections.abc import Iterable, Sequence

from boxfleet.api import cells
from boxfleet.app import supervision
from boxfleet.planning import health

# Seconds: a process that ran this long has come up; one that is down for longer is not being started again;
# a server that does not answer for longer than the last is not merely starting.
_UP = 2
_AGAIN = 5
_STARTS = 60
# Lines of a log, from the end, and seconds before its last one, in which the cause is looked for.
_LINES = 20
_RECENT = 60.0
_TOLD = frozenset({"warning", "error", "critical"})


def parts(states: Iterable[supervision.ServiceState], logs: pathlib.Path) -> list[health.Part]:
    """Each supervised process."""
    return [_service(each, logs / each.name / "current") for each in states]


def unwatched() -> health.Part:
    """The part to show when s6-svscan itself is gone."""
    trouble = health.Trouble(
        subject="s6-svscan",
        reason="NotSupervised",
        message="it does not run: nobody looks after the services and starts their supervisors again",
        advice="start it: boxfleet up",
    )
    return health.Part(kind="s6-svscan", name="", level=health.Level.BAD, summary="down", troubles=[trouble])


def silent_api(
    url: str, words: str, states: Sequence[supervision.ServiceState], logs: pathlib.Path, *, is_away: bool
) -> health.Part:
    """The API when it gives no answer; without `states` it is somebody else's. `is_away`: it did not answer at all."""
    server = next((each for each in states if each.name == "server"), None)
    if is_away and server is not None and not server.crashing and _is_starting(server):
        since = f" for {cells.duration(server.seconds)}" if server.up else " again"
        trouble = health.Trouble(
            subject="api",
            reason="Starting",
            message=f"the server is starting{since}: {words}",
            level=health.Level.WAITING,
        )
        return health.Part(kind="api", name="", level=health.Level.WAITING, summary=url, troubles=[trouble])
    remedy = f"its log: {logs / 'server' / 'current'}" if states else "is it the right kubeconfig?"
    trouble = health.Trouble(subject="api", reason="Unreachable", message=words, advice=remedy)
    return health.Part(kind="api", name="", level=health.Level.BAD, summary=url, troubles=[trouble])


def _is_starting(state: supervision.ServiceState) -> bool:
    return state.wanted and state.supervised and state.seconds < (_STARTS if state.up else _AGAIN)


def _service(state: supervision.ServiceState, log: pathlib.Path) -> health.Part:
    words = f"process {state.pid}, up {cells.duration(state.seconds)}" if state.up else "down"
    if state.crashing:
        return _bad(state, words, "CrashLoop", f"it ends again and again: {_cause(log)}".removesuffix(": "), log)
    if state.up and state.seconds >= _UP:
        return health.Part(kind=state.name, name="", level=health.Level.WELL, summary=words)
    if state.up:
        return health.Part(kind=state.name, name="", level=health.Level.WAITING, summary=f"{words}, starting")
    if _is_starting(state):
        words = f"ended {cells.duration(state.seconds)} ago, is being started again"
        return health.Part(kind=state.name, name="", level=health.Level.WAITING, summary=words)
    return _bad(state, words, "Down", (_cause(log) if state.wanted else "") or "it does not run", log)


def _bad(state: supervision.ServiceState, summary: str, reason: str, message: str, log: pathlib.Path) -> health.Part:
    trouble = health.Trouble(
        subject=state.name, reason=reason, message=message, advice=f"start it: boxfleet up; its log: {log}"
    )
    return health.Part(kind=state.name, name="", level=health.Level.BAD, summary=summary, troubles=[trouble])


def _cause(log: pathlib.Path) -> str:
    """The last warning or error at the end of a log, as text; empty when all there is harmless."""
    try:
        with log.open("rb") as file:
            file.seek(max(file.seek(0, 2) - 64 * 1024, 0))
            lines = file.read().decode(errors="replace").splitlines()[-_LINES:]
    except OSError:
        return ""
    newest: datetime.datetime | None = None
    for line in reversed(lines):
        try:
            said = json.loads(line)
            time = datetime.datetime.fromisoformat(said["time"])
        except (ValueError, KeyError, TypeError):
            if line.strip():
                # No line of ours: the interpreter's or the system's last words.
                return line.strip()[-300:]
            continue
        newest = newest or time
        if (newest - time).total_seconds() > _RECENT:
            return ""
        if said.get("level") in _TOLD:
            return _text(said)
    return ""


def _text(said: dict[str, object]) -> str:
    cause = said.get("cause") or said.get("error") or ""
    if not cause and said.get("exception"):
        cause = str(said["exception"]).strip().rpartition("\n")[2]
    return f"{said.get('event', '')}: {cause}".removesuffix(": ")[:300]
