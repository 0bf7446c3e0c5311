"""``boxfleet status``: one screen that says what is well, what is not, and why."""

import asyncio
import contextlib
import datetime
import pathlib

from boxfleet.api import cells
from boxfleet.app import access, paths, settings, supervision
from boxfleet.app import world as worlds
from boxfleet.cli import options, output, report
from boxfleet.client import errors
from boxfleet.planning import health, sites

# Seconds: a server that needs longer to answer is not well.
_PATIENCE = 5.0


def run(known: settings.All, form: options.Format, *, kubeconfig: str | None = None) -> int:
    """Print the report; 1 when something is not well."""
    parts, places = asyncio.run(_look(known, kubeconfig))
    level = health.worst(parts)
    if form is not options.Format.TEXT:
        output.data({"status": level.value, "parts": parts, "sites": places}, form)
    else:
        for line, style in report.lines(parts, sites=places):
            output.say(line, style=style)
        words, style = report.verdict(parts)
        output.say(words, style=style)
    return 1 if level is health.Level.BAD else 0


async def _look(known: settings.All, kubeconfig: str | None) -> tuple[list[health.Part], dict[str, list[str]]]:
    where = paths.of(known)
    parts: list[health.Part] = []
    if kubeconfig is None:
        access.require_sight(known)
        parts += [_service(state, where) for state in supervision.states(where)]
    url = access.url_of(known) if kubeconfig is None else access.read_kubeconfig(pathlib.Path(kubeconfig)).server
    if not parts and kubeconfig is None:
        trouble = health.Trouble(
            subject="boxfleet", reason="NotStarted", message="no service runs here", advice="start it: boxfleet up"
        )
        level = health.Level.BAD
        return [health.Part(kind="boxfleet", name="", level=level, summary="does not run", troubles=[trouble])], {}
    try:
        async with access.way(known, kubeconfig, patience=_PATIENCE) as api:
            world = await worlds.read(api)
    except (errors.ApiError, access.NoAccess) as error:
        words = str(error)
        remedy = (
            f"its log: {where.logs / 'server' / 'current'}" if kubeconfig is None else "is it the right kubeconfig?"
        )
        trouble = health.Trouble(subject="api", reason="Unreachable", message=words, advice=remedy)
        return [*parts, health.Part(kind="api", name="", level=health.Level.BAD, summary=url, troubles=[trouble])], {}
    parts.append(health.Part(kind="api", name="", level=health.Level.WELL, summary=url))
    parts += health.missing(world)
    parts += health.examine(world, now=datetime.datetime.now(datetime.UTC))
    places = {str(each.key): sites.of_box(each, world.units, world.pods) for each in world.boxes}
    return parts, {name: urls for name, urls in places.items() if urls}


def _service(state: supervision.ServiceState, where: paths.Paths) -> health.Part:
    """One supervised process. One that has just come up again and again is in a crash loop."""
    if state.up and state.seconds >= 2:
        words = f"process {state.pid}, up {cells.duration(state.seconds)}"
        return health.Part(kind=state.name, name="", level=health.Level.WELL, summary=words)
    log = where.logs / state.name / "current"
    if state.up:
        words = f"process {state.pid}, up {cells.duration(state.seconds)}"
        return health.Part(kind=state.name, name="", level=health.Level.WAITING, summary=words)
    last = ""
    with contextlib.suppress(OSError):
        last = log.read_text(errors="replace").strip().rpartition("\n")[2][-300:]
    trouble = health.Trouble(
        subject=state.name,
        reason="Down",
        message=last or "it does not run",
        advice=f"start it: boxfleet up; its log: {log}",
    )
    return health.Part(kind=state.name, name="", level=health.Level.BAD, summary="down", troubles=[trouble])
