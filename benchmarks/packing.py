"""Packing: GPUs of a production trace in use after random arrivals; hosts needed for its instances without GPUs.

The trace (shared/data/openb beside the repository) and its use are those of Weng et al., "Beware of Fragmentation",
USENIX ATC 2023: instances are drawn from the trace at random until they ask for 130% of all GPUs; each is placed as it
comes, or dropped when it fits nowhere. What counts is the share of all GPUs that is in use at the end.
"""

import concurrent.futures
import csv
import functools
import pathlib
import random
import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from boxfleet.planning.engine import asks, fragments, places, policies, table

if TYPE_CHECKING:
    from benchmarks import harness

DATA = pathlib.Path(__file__).parent.parent.parent / "shared" / "data" / "openb"
SEEDS = 10
ARRIVAL = 1.3
_TARGET, _PEER = 95.4, 95.39
_MIB = 2**20
# Hosts for instances without GPUs, the commonest size of the trace.
_HOST = {"cpu": 96000, "memory": 393216 * _MIB, "pods": 1000}


async def run(bench: "harness.Bench") -> None:
    """Measure."""
    if not DATA.is_dir():
        bench.say(f"the trace is not there: {DATA}")
        return
    with concurrent.futures.ProcessPoolExecutor(max_workers=2) as pool:
        # What is typical is the whole trace's mix, as in the paper; or what has come so far, and nothing else.
        for name, learned, seeds in (("workload given", False, SEEDS), ("workload learned", True, SEEDS // 2)):
            bench.say(f"{name}, {seeds} seeds")
            found = list(pool.map(functools.partial(arrivals, learned=learned), range(seeds)))
            ends, halves, rates = zip(*found, strict=True)
            bench.metric(f"{name}: GPUs in use, mean", sum(ends) / seeds, "%", target=_TARGET, peer=_PEER)
            bench.metric(f"{name}: GPUs in use, worst seed", min(ends), "%")
            bench.metric(f"{name}: GPUs in use at 100% arrival, mean", sum(halves) / seeds, "%")
            bench.metric(f"{name}: placements per second of CPU", sum(rates) / seeds, "1/s", target=2000)
    trace = instances()
    _hosts(bench, [each for each in trace if each.gpus is None])


def nodes() -> Iterator[places.Place]:
    """The nodes of the trace."""
    with (DATA / "openb_node_list_gpu_node.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            yield places.Place(
                name=row["sn"],
                offers={"cpu": int(row["cpu_milli"]), "memory": int(row["memory_mib"]) * _MIB, "pods": 1000},
                gpu_model=row["model"],
                gpus=(asks.WHOLE,) * int(row["gpu"]),
            )


def instances() -> list[asks.Ask]:
    """What the instances of the trace ask for."""
    with (DATA / "openb_pod_list_default.csv").open(newline="") as file:
        return [_ask(row) for row in csv.DictReader(file)]


def _ask(row: dict[str, str]) -> asks.Ask:
    count = int(row["num_gpu"])
    models = frozenset(filter(None, row["gpu_spec"].split("|")))
    return asks.Ask(
        requests={"cpu": int(row["cpu_milli"]), "memory": int(row["memory_mib"]) * _MIB, "pods": 1},
        gpus=asks.Gpus(count=count, milli=int(row["gpu_milli"]), models=models) if count else None,
    )


def arrivals(seed: int, *, learned: bool) -> tuple[float, float, float]:
    """Shares of all GPUs in use at the end and when 100% had come, in percent, and placements per second of CPU.

    `learned`: what is typical is known from what has come so far alone, else it is the whole trace's mix.
    """
    trace = instances()
    chance = random.Random(seed)
    fleet = table.Table(nodes(), policy=policies.DEVICES)
    whole = sum(sum(each.gpus) for each in fleet.values())
    learner = fragments.Typical()
    if not learned:
        fleet.prefer(fragments.Fragments(Counter(fragments.shape(each) for each in trace)))
    arrived, used, count = 0, 0, 0
    at_whole: float | None = None
    begin = time.process_time()
    while arrived < ARRIVAL * whole:
        ask = chance.choice(trace)
        size = ask.gpus.count * ask.gpus.milli if ask.gpus else 0
        arrived += size
        count += 1
        if learned and learner.add(ask):
            fleet.prefer(learner.fragments())
        chosen = fleet.choose(ask).place
        if chosen:
            fleet.take(chosen, ask)
            used += size
        if at_whole is None and arrived >= whole:
            at_whole = used / whole
    rate = count / (time.process_time() - begin)
    return 100 * used / whole, 100 * (at_whole or 0.0), rate


def _hosts(bench: "harness.Bench", trace: list[asks.Ask]) -> None:
    """Hosts that are begun when instances come one by one, in the order of the trace."""
    cpu, memory = (sum(each.requests[name] for each in trace) / _HOST[name] for name in ("cpu", "memory"))
    bench.metric("hosts without GPUs: least possible by sums", max(cpu, memory), "hosts")
    for name, policy in (("packed", policies.PACK), ("spread", policies.SPREAD)):
        fleet = table.Table((places.Place(name=f"{number:04}", offers=_HOST) for number in range(400)), policy=policy)
        used = set()
        for ask in trace:
            chosen = fleet.choose(ask).place
            fleet.take(chosen, ask)
            used.add(chosen)
        bench.metric(f"hosts without GPUs: {name}", len(used), "hosts")
    bench.metric("hosts without GPUs: first fit", _first_fit(trace), "hosts")


def _first_fit(trace: list[asks.Ask]) -> int:
    hosts: list[list[int]] = []
    for ask in trace:
        cpu, memory = ask.requests["cpu"], ask.requests["memory"]
        found = next((host for host in hosts if host[0] >= cpu and host[1] >= memory), None)
        if found is None:
            found = [_HOST["cpu"], _HOST["memory"]]
            hosts.append(found)
        found[0] -= cpu
        found[1] -= memory
    return len(hosts)
