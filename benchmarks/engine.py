"""Engine: placements per second of CPU by rules and by nodes, and 100 clusters with 500,000 nodes held at once.

Rates are per second of CPU of the one thread that decides, so that what else runs on the machine matters less.
``python -m benchmarks.engine`` draws docs/placement.svg from the newest record.
"""

import concurrent.futures
import gc
import json
import pathlib
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks import plot

from boxfleet.api import meta
from boxfleet.planning.engine import asks, places, table
from boxfleet.scheduler import state

if TYPE_CHECKING:
    from benchmarks import harness

SIZES = (100, 1_000, 5_000, 50_000)
_AIM = 5_000
_COUNT = 4_000
CLUSTERS, NODES, INSTANCES = 100, 5_000, 20_000
UNIT = 1_000
_GIB = 2**30
PICTURE = pathlib.Path(__file__).parent.parent / "docs" / "placement.svg"
_RULES = ("plain", "plain, 20 Units in turns", "spread over zones", "spread over hosts", "one on each host")


async def run(bench: "harness.Bench") -> None:
    """Measure: rates in a process of their own, so that what is held here does not slow them."""
    with concurrent.futures.ProcessPoolExecutor(max_workers=1) as pool:
        rates = [(size, pool.submit(rates_of, size)) for size in SIZES]
        _whole(bench)
        for size, found in rates:
            for rule, rate in found.result().items():
                target = (20_000 if rule.startswith("plain") else 10_000) if size == _AIM else None
                bench.metric(f"{size:,} nodes: {rule}", rate, "1/s", target=target)


def rates_of(size: int) -> dict[str, float]:
    """Placements per second of CPU over so many nodes, by rule."""
    fleet = table.Table(nodes(size))
    found = {}
    for number, rule in enumerate(_RULES):
        turns = 20 if "turns" in rule else 1
        kinds = [ask_of(rule, unit=f"u{number}-{unit}") for unit in range(turns)]
        # A Unit that has one instance for each host has no more of them than hosts.
        found[rule] = rate_of(fleet, kinds, min(_COUNT, size // 2 if rule == _RULES[-1] else 20 * size))
    return found


def nodes(count: int, *, cluster: int = 0) -> list[places.Place]:
    """Hosts of ten zones."""
    return [
        places.Place(
            name=f"c{cluster:02}-n{number:06}",
            labels={"host": f"c{cluster:02}-n{number:06}", "zone": f"z{number % 10}"},
            offers={"cpu": 32_000, "memory": 128 * _GIB, "pods": 500},
        )
        for number in range(count)
    ]


def ask_of(rule: str, *, unit: str) -> asks.Ask:
    """One instance of a Unit under a rule."""

    def term(topology: str) -> asks.Term:
        selector = asks.Selector(pairs=(("unit", unit),))
        return asks.Term(topology=topology, selector=selector, namespaces=frozenset({"default"}))

    topology = {"spread over zones": "zone", "spread over hosts": "host"}.get(rule)
    return asks.Ask(
        requests={"cpu": 10, "memory": _GIB // 64, "pods": 1},
        group=f"default/{unit}",
        namespace="default",
        labels={"unit": unit},
        spread=(asks.Spread(term=term(topology), skew=1, required=True),) if topology else (),
        apart=(term("host"),) if rule == "one on each host" else (),
    )


def rate_of(fleet: table.Table, kinds: Sequence[asks.Ask], count: int) -> float:
    """Placements per second of CPU, each counted before the next; at the end all are taken back."""
    for ask in kinds:
        fleet.choose(ask)
    placed = []
    begin = time.process_time()
    for number in range(count):
        ask = kinds[number % len(kinds)]
        chosen = fleet.choose(ask).place
        fleet.take(chosen, ask)
        placed.append((chosen, ask))
    rate = count / (time.process_time() - begin)
    for chosen, ask in placed:
        fleet.give(chosen, ask)
    return rate


def _whole(bench: "harness.Bench") -> None:
    """Both levels: clusters by their sums, nodes within each as the scheduler holds them."""
    # As in the server, where what stays is not gone through for cycles again and again.
    gc.disable()
    before = _resident()
    clusters, fleets = table.Table(), []
    for number in range(CLUSTERS):
        held = state.State(cluster=f"c{number:02}")
        many = nodes(NODES, cluster=number)
        for each in many:
            held.places.set(each)
        fleets.append(held)
        offers: Counter[str] = Counter()
        for each in many:
            offers.update(each.offers)
        one = ask_of("plain", unit="")
        used = {name: INSTANCES * amount for name, amount in one.requests.items()}
        clusters.set(places.Place(name=f"c{number:02}", offers=dict(offers), used=used))
        if number % 10 == 9:
            bench.say(f"{number + 1} clusters with nodes")
    with_nodes = _resident()
    for number, held in enumerate(fleets):
        for unit in range(INSTANCES // UNIT):
            ask = ask_of("plain", unit=f"old{number}-{unit}")
            for one in range(UNIT):
                count = unit * UNIT + one
                key = meta.Key("default", f"old{number}-{unit}-{one}")
                uid = f"00000000-0000-4000-{number:04}-{count:012}"
                held.assume(key, uid=uid, node=f"c{number:02}-n{count % NODES:06}", ask=ask)
        if number % 10 == 9:
            bench.say(f"{number + 1} clusters with instances")
    after = _resident()
    bench.metric("500,000 nodes, 2,000,000 instances: memory", after - before, "GiB", target=8)
    bench.metric("memory of a node", (with_nodes - before) * 2**20 / CLUSTERS / NODES, "KiB")
    bench.metric("memory of an instance", (after - with_nodes) * 2**20 / CLUSTERS / INSTANCES, "KiB")
    gc.enable()
    gc.freeze()
    wall, cpu = _unit(clusters, fleets)
    bench.metric("1,000 instances over 100 clusters, both levels", wall, "s", target=1)
    bench.metric("1,000 instances over 100 clusters, both levels, CPU", cpu, "s", target=1)


def _unit(clusters: table.Table, fleets: Sequence[state.State]) -> tuple[float, float]:
    begin, cpu = time.perf_counter(), time.process_time()
    ask = ask_of("plain", unit="new")
    for number in range(UNIT):
        cluster = clusters.choose(ask).place
        clusters.take(cluster, ask)
        held = fleets[int(cluster[1:])]
        chosen = held.places.choose(ask).place
        held.assume(meta.Key("default", f"new-{number}"), uid=f"new-{number}", node=chosen, ask=ask)
    return time.perf_counter() - begin, time.process_time() - cpu


def _resident() -> float:
    text = pathlib.Path("/proc/self/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+)", text, re.MULTILINE)
    return int(found[1]) / 2**20 if found else 0.0


def panels(metrics: Sequence[dict[str, Any]]) -> list[plot.Panel]:
    """What a placement costs, by nodes."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for metric in metrics:
        if found := re.fullmatch(r"([\d,]+) nodes: (.+)", metric["name"]):
            lines.setdefault(found[2], []).append((float(found[1].replace(",", "")), 1e6 / metric["value"]))

    def panel(title: str, keep: Callable[[str], bool]) -> plot.Panel:
        chosen = [plot.Line(name=name, points=points) for name, points in lines.items() if keep(name)]
        return plot.Panel(title=title, x="nodes", lines=chosen)

    return [
        panel("CPU of a placement, us", lambda name: name.startswith("plain")),
        panel("CPU of a placement with rules about Pods, us", lambda name: not name.startswith("plain")),
    ]


def draw() -> str:
    """The picture of the newest record."""
    newest = max((pathlib.Path(__file__).parent / "results").glob("engine-*.json"))
    return plot.svg(panels(json.loads(newest.read_text())["metrics"]))


if __name__ == "__main__":
    PICTURE.write_text(draw())
