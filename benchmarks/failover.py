"""Several hosts on this machine: a host joining, and a host lost until all its instances are Ready elsewhere.

Hosts are network namespaces with their own agent and containerd; a lost one is killed with everything on it, or cut
off. Times count from the loss until a look at the API says that all instances are Ready on other hosts.
"""

import asyncio
import json
import time
from collections.abc import Callable

from benchmarks import bed, harness

from boxfleet.testing import fleet as fleets
from boxfleet.testing import hosts

_INSTANCES = 12
_ROUNDS = 3
_SLEEPER = ["sleep", "100000"]


async def run(bench: harness.Bench) -> None:
    """Measure on a bed of three hosts."""
    await asyncio.to_thread(_run, bench)


def _run(bench: harness.Bench) -> None:
    made = hosts.Bed(3)
    try:
        bench.say("three hosts")
        joined = made.start()
        took = [each * 1000 for each in joined]
        bench.samples("the line of boxfleet node token until the node is Ready", took, "ms", target=60_000)
        _promised(made)
        unit = bed.unit(_SLEEPER, replicas=_INSTANCES)
        made.kubectl("apply", "-f", "-", stdin=_box(unit))
        _ready_without(made, "")
        for what, lose, regain in (
            ("killed", hosts.Host.kill, hosts.Host.revive),
            ("cut off", hosts.Host.cut, hosts.Host.mend),
        ):
            bench.say(f"a host is {what}")
            bench.samples(
                f"host {what} to all its instances Ready elsewhere",
                [_lost(made, lose, regain) for _ in range(_ROUNDS)],
                "ms",
                target=15_000,
            )
        bench.say("the server is killed meanwhile")
        alone = _lost(made, hosts.Host.cut, hosts.Host.mend, meanwhile=lambda: _kill_server(made))
        bench.metric("host cut off, server killed 1 s later, to all Ready elsewhere", alone, "ms", target=15_000)
    finally:
        made.stop()


def _lost(
    made: hosts.Bed,
    lose: Callable[[hosts.Host], None],
    regain: Callable[[hosts.Host], None],
    *,
    meanwhile: Callable[[], None] = lambda: None,
) -> float:
    """Lose the host with the most instances besides the server's; milliseconds until they are Ready elsewhere."""
    one = max(made.hosts[1:], key=lambda each: len(each.instances()))
    began = time.monotonic()
    lose(one)
    meanwhile()
    _ready_without(made, one.node)
    took = (time.monotonic() - began) * 1000
    regain(one)
    _promised(made)
    # Some come back to it, for the next round.
    made.kubectl("delete", "pods", "-l", "boxfleet.dev/box=bench", "--wait=true")
    _ready_without(made, "")
    return took


def _kill_server(made: hosts.Bed) -> None:
    time.sleep(1)
    made.server.run("kill", "-9", str(made.server.process("server")))


def _ready_without(made: hosts.Bed, gone: str) -> None:
    def settled() -> bool:
        found = made.get("pods", "-l", "boxfleet.dev/box=bench")["items"]
        ready = [
            pod
            for pod in found
            if pod["spec"].get("nodeName", gone) != gone
            and not pod["metadata"].get("deletionTimestamp")
            and any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))
        ]
        return len(ready) == _INSTANCES

    fleets.eventually(settled, within=120, what="all are Ready")


def _promised(made: hosts.Bed) -> None:
    def settled() -> bool:
        leases = made.get("leases", "-n", "kube-node-lease")["items"]
        said = [each["metadata"].get("annotations", {}) for each in leases]
        return sum(1 for each in said if each.get("boxfleet.dev/fence")) == len(made.hosts) and all(
            each.get("boxfleet.dev/takeover") == "armed" for each in said
        )

    fleets.eventually(settled, within=120, what="the hosts have promised")


def _box(unit: dict[str, object]) -> str:
    body = {
        "apiVersion": "boxfleet.dev/v1",
        "kind": "Box",
        "metadata": {"name": "bench", "namespace": "default"},
        "spec": {"units": {"web": unit}},
    }
    return json.dumps(body)
