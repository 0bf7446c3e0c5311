"""``boxfleet status``: one screen that says what is well, what is not, and why."""

import asyncio
import datetime
import pathlib

from boxfleet.app import access, paths, settings, supervision
from boxfleet.app import world as worlds
from boxfleet.cli import options, output, report, service_view
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
    states: list[supervision.ServiceState] = []
    if kubeconfig is None:
        access.require_sight(known)
        states = supervision.states(where)
        parts += service_view.parts(states, where.logs)
        if states and not supervision.is_running(where):
            parts.append(service_view.unwatched())
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
        is_away = isinstance(error, errors.Unavailable)
        return [*parts, service_view.silent_api(url, str(error), states, where.logs, is_away=is_away)], {}
    parts.append(health.Part(kind="api", name="", level=health.Level.WELL, summary=url))
    parts += health.missing(world)
    parts += health.examine(world, now=datetime.datetime.now(datetime.UTC))
    places = {str(each.key): sites.of_box(each, world.units, world.pods) for each in world.boxes}
    return parts, {name: urls for name, urls in places.items() if urls}
