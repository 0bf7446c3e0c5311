"""Growth: memory, CPU of a get, a write and a list, and watch latency, as objects and watchers grow in number.

``python -m benchmarks.growth`` draws docs/growth.svg from the newest record.
"""

import asyncio
import json
import pathlib
import re
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from benchmarks import listeners, plot, serving, watch, wrk

from boxfleet.store import settings, store

if TYPE_CHECKING:
    from benchmarks import harness

OBJECTS = (1_000, 5_000, 20_000, 100_000)
WATCHERS = (1, 10, 100, 1_000)
IDLE = (1, 100, 1_000, 10_000)
_SECONDS = 2
_BATCH = 2_000
PICTURE = pathlib.Path(__file__).parent.parent / "docs" / "growth.svg"
_PANELS = (
    ("Memory of the server, MiB", "objects", ("memory",)),
    ("CPU of a request, us", "objects", ("get, CPU", "patch, CPU")),
    ("CPU of a list of all, ms", "objects", ("list of all, CPU",)),
    ("Write to event, 10 writes/s, ms", "watchers that hear it", ("hearing, median", "hearing, p99")),
    ("Memory of the server, MiB", "idle watchers", ("memory with idle",)),
    ("Write to event of 20 others, ms", "idle watchers", ("beside idle, median", "beside idle, p99")),
)


async def run(bench: "harness.Bench") -> None:
    """Measure."""
    for count in OBJECTS:
        bench.say(f"{count:,} objects")
        with tempfile.TemporaryDirectory(prefix="bf-bench-growth-") as folder:
            await _store(pathlib.Path(folder), count)
            async with serving.served(pathlib.Path(folder)) as side:
                await _of_objects(bench, side, count)
    with tempfile.TemporaryDirectory(prefix="bf-bench-growth-") as folder:
        async with serving.served(pathlib.Path(folder)) as side:
            await _of_watchers(bench, side)


async def _store(folder: pathlib.Path, count: int) -> None:
    """Objects as the API would have made them, in the database that the server opens."""
    log = await store.Store.open(folder / "boxfleet.db", settings.Settings(batch=_BATCH))
    for begin in range(0, count, _BATCH):
        numbers = range(begin, min(count, begin + _BATCH))
        await asyncio.gather(
            *(log.write(f"//configmaps/default/{_name(one)}", _value(one), expected=0) for one in numbers)
        )
    await log.close()


def _name(number: int) -> str:
    return f"bench-{number:05}"


def _value(number: int) -> Any:
    def value(revision: int) -> bytes:
        metadata = {
            "name": _name(number),
            "namespace": "default",
            "uid": f"00000000-0000-4000-8000-{number:012}",
            "resourceVersion": str(revision),
            "creationTimestamp": "2026-01-01T00:00:00Z",
        }
        data = {"version": "1", "text": "x" * 800}
        return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}).encode()

    return value


async def _of_objects(bench: "harness.Bench", side: serving.Side, count: int) -> None:
    bench.metric(f"{count:,} objects: memory", await watch.settled(side), "MiB")
    for verb in ("get", "patch"):
        load = await wrk.load(side.target, verb, seconds=_SECONDS, objects=count)
        bench.metric(f"{count:,} objects: {verb}, CPU", load.cpu, "us")
    # What is under way at the end costs, but is not counted: long ones need longer.
    seconds = _SECONDS + count // 10_000
    load = await wrk.load(side.target, "list", seconds=seconds, objects=count, connections=1)
    bench.metric(f"{count:,} objects: list of all, CPU", load.cpu / 1000, "ms")


async def _of_watchers(bench: "harness.Bench", side: serving.Side) -> None:
    async with serving.asking(side) as api:
        await watch.fill(api, range(300))
        for count in WATCHERS:
            bench.say(f"{count:,} watchers")
            heard = await watch.delivery(side, api, watchers=count, rate=10, writes=100)
            bench.metric(f"{count:,} watchers: hearing, median", heard.median, "ms")
            bench.metric(f"{count:,} watchers: hearing, p99", heard.p99, "ms")
        async with watch.listening(side) as idle:
            opened = 0
            for count in IDLE:
                goal = min(count, listeners.limit())
                bench.say(f"{goal:,} idle watchers")
                await idle.open([watch.of_node(number) for number in range(opened, goal)])
                opened = goal
                bench.metric(f"{goal:,} idle: memory with idle", await watch.settled(side), "MiB")
                heard = await watch.delivery(side, api, watchers=20, rate=50, writes=200)
                bench.metric(f"{goal:,} idle: beside idle, median", heard.median, "ms")
                bench.metric(f"{goal:,} idle: beside idle, p99", heard.p99, "ms")


def panels(metrics: Sequence[dict[str, Any]]) -> list[plot.Panel]:
    """The figures of a record as lines: a figure's name begins with how many there were."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for metric in metrics:
        found = re.fullmatch(r"([\d,]+) [a-z]+: (.+)", metric["name"])
        if found is None:
            raise ValueError(f"{metric['name']!r} does not say how many there were")
        lines.setdefault(found[2], []).append((float(found[1].replace(",", "")), metric["value"]))
    return [
        plot.Panel(title=title, x=x, lines=[plot.Line(name=name, points=lines[name]) for name in names])
        for title, x, names in _PANELS
    ]


def draw() -> str:
    """The picture of the newest record."""
    newest = max((pathlib.Path(__file__).parent / "results").glob("growth-*.json"))
    return plot.svg(panels(json.loads(newest.read_text())["metrics"]))


if __name__ == "__main__":
    PICTURE.write_text(draw())
