"""``boxfleet tree``: Boxes, their Units and instances."""

import asyncio
import datetime

from boxfleet.api import box, pod, unit
from boxfleet.app import access, settings
from boxfleet.cli import options, output, tree_view
from boxfleet.planning import family


def run(known: settings.All, form: options.Format, *, namespace: str, kubeconfig: str | None = None) -> int:
    """Print the tree of one namespace, or of all when none is named."""
    trees = asyncio.run(_grow(known, namespace, kubeconfig))
    if form is not options.Format.TEXT:
        output.data(trees, form)
        return 0
    for line, style in tree_view.lines(trees):
        output.say(line, style=style)
    if not trees:
        output.say("nothing is delivered yet: boxfleet up FILE")
    return 0


async def _grow(known: settings.All, namespace: str, kubeconfig: str | None) -> list[family.Tree]:
    async with access.way(known, kubeconfig) as api:
        boxes = await api.list(box.Box, namespace=namespace)
        units = await api.list(unit.Unit, namespace=namespace)
        pods = await api.list(pod.Pod, namespace=namespace)
    now = datetime.datetime.now(datetime.UTC)
    return family.grow(boxes=boxes.items, units=units.items, pods=pods.items, now=now)
