"""Hosts that die, are cut off and come back, with everything real: nothing runs twice, and all of it comes back."""

import collections
import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from tests.integration.app import hosts_bed as beds

from boxfleet.testing import fleet as fleets
from boxfleet.testing import hosts

pytestmark = pytest.mark.machine
bed = beds.bed

_CLAIM = {
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
}
_PATIENCE = 90.0


@pytest.fixture
def web(bed: hosts.Bed) -> Iterator[dict[str, str]]:
    """Six instances on three hosts that have promised; their addresses."""
    fleets.eventually(lambda: _promises(bed) == 3, within=_PATIENCE, what="the hosts have promised")
    beds.deliver(bed, "lost", beds.SLEEPER, replicas=6)
    assert set(beds.ready(bed, "lost").values()) == {"h0", "h1", "h2"}
    yield beds.addresses(bed, "lost")
    beds.remove(bed, "lost")


def _promises(bed: hosts.Bed) -> int:
    leases = bed.get("leases", "-n", "kube-node-lease")["items"]
    said = [each["metadata"].get("annotations", {}) for each in leases]
    return sum(1 for each in said if each.get("boxfleet.dev/fence") and each.get("boxfleet.dev/takeover") == "armed")


def _status(bed: hosts.Bed, node: str) -> str:
    said = bed.get("node", node)["status"]["conditions"]
    return next(each["status"] for each in said if each["type"] == "Ready")


@contextlib.contextmanager
def never_twice(bed: hosts.Bed) -> Iterator[None]:
    """No instance runs on two hosts, as the kernel sees it, at any moment that is looked at."""
    found: list[dict[str, list[str]]] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.25):
            with contextlib.suppress(OSError):
                if twice := {name: where for name, where in bed.everywhere().items() if len(set(where)) > 1}:
                    found.append(twice)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield
    finally:
        over.set()
        looking.join()
    assert found == []


def _elsewhere(bed: hosts.Bed, gone: str) -> None:
    def moved() -> bool:
        where = beds.ready(bed, "lost")
        return len(where) == 6 and gone not in where.values()

    fleets.eventually(moved, within=_PATIENCE, what=f"all are Ready without {gone}")


def test_instances_of_a_killed_host_come_back_elsewhere(bed: hosts.Bed, web: dict[str, str]) -> None:
    with never_twice(bed):
        bed.hosts[2].kill()
        _elsewhere(bed, "h2")
        assert beds.addresses(bed, "lost") == web
        bed.hosts[2].revive()
        fleets.eventually(lambda: _status(bed, "h2") == "True", within=_PATIENCE, what="h2 is back")
        fleets.eventually(lambda: _promises(bed) == 3, within=_PATIENCE, what="it takes part again")
    assert beds.addresses(bed, "lost") == web


def test_a_host_that_is_cut_off_ends_its_instances_and_is_taken_back_in(bed: hosts.Bed, web: dict[str, str]) -> None:
    beds.deliver(bed, "kept", beds.SLEEPER, replicas=3, more={"volumeClaimTemplates": [_CLAIM]})
    kept = {name: node for name, node in beds.ready(bed, "kept").items() if node == "h1"}
    mine = {name: pids for name, pids in bed.hosts[1].instances().items() if name in kept}
    assert mine
    with never_twice(bed):
        bed.hosts[1].cut()
        _elsewhere(bed, "h1")
        assert beds.addresses(bed, "lost") == web
        # What has its data there goes on, cut off, and is not made elsewhere.
        assert bed.hosts[1].instances() == mine
        stays = [pod for pod in beds.pods(bed, "kept") if pod["metadata"]["name"] in kept]
        said = [one for pod in stays for one in pod["status"]["conditions"] if one["type"] == "boxfleet.dev/TakenOver"]
        assert len(said) == len(stays) and all("its data is there" in one["message"] for one in said)
        bed.hosts[1].mend()
        fleets.eventually(lambda: _status(bed, "h1") == "True", within=_PATIENCE, what="h1 is back")
        fleets.eventually(lambda: _promises(bed) == 3, within=_PATIENCE, what="it takes part again")
        fleets.eventually(lambda: len(beds.ready(bed, "kept")) == 3, within=_PATIENCE, what="what stayed is Ready")
    assert {name: pids for name, pids in bed.hosts[1].instances().items() if name in kept} == mine
    assert beds.ready(bed, "kept").items() >= kept.items()
    beds.remove(bed, "kept")


def test_a_server_that_dies_meanwhile_goes_on_with_it(bed: hosts.Bed, web: dict[str, str]) -> None:
    with never_twice(bed):
        bed.hosts[2].cut()
        fleets.eventually(lambda: not bed.hosts[2].instances(), within=_PATIENCE, what="h2 has ended its own")
        os.kill(bed.server.process("server"), signal.SIGKILL)
        _elsewhere(bed, "h2")
        bed.hosts[2].mend()
        fleets.eventually(lambda: _promises(bed) == 3, within=_PATIENCE, what="it takes part again")
    assert beds.addresses(bed, "lost") == web


def test_a_dead_agent_keeps_no_host_from_ending_its_instances(bed: hosts.Bed, web: dict[str, str]) -> None:
    one = bed.hosts[1]
    before = one.instances()
    with never_twice(bed):
        # It comes back at once: they go on.
        os.kill(one.process("agent"), signal.SIGKILL)
        fleets.eventually(lambda: one.process("agent") and _promises(bed) == 3, within=_PATIENCE, what="it is back")
        time.sleep(0.5)
        assert one.instances() == before
        # It does not come back: the watchdog ends them, then they are made elsewhere.
        one.run("s6-svc", "-dk", f"{one.folder}/r/services/agent")
        _elsewhere(bed, "h1")
        assert one.instances() == {}
        one.run("s6-svc", "-u", f"{one.folder}/r/services/agent")
        fleets.eventually(lambda: _promises(bed) == 3, within=_PATIENCE, what="it takes part again")
    assert beds.addresses(bed, "lost") == web


def test_a_server_that_is_down_ends_nothing(bed: hosts.Bed, web: dict[str, str]) -> None:
    before = [one.instances() for one in bed.hosts]
    service = f"{bed.server.folder}/r/services/server"
    bed.server.run("s6-svc", "-wD", "-d", service)
    # More than twice as long as hosts wait.
    end = time.monotonic() + 15
    while time.monotonic() < end:
        assert [one.instances() for one in bed.hosts] == before
        time.sleep(0.2)
    bed.server.run("s6-svc", "-u", service)
    fleets.eventually(lambda: _promises(bed) == 3, within=_PATIENCE, what="all take part again")
    assert [one.instances() for one in bed.hosts] == before
    assert collections.Counter(beds.ready(bed, "lost").values()).total() == 6


def test_two_of_three_lost_at_once_are_not_taken_over(bed: hosts.Bed, web: dict[str, str]) -> None:
    before = beds.ready(bed, "lost")
    with never_twice(bed):
        for one in bed.hosts[1:]:
            one.cut()

        def held() -> bool:
            events = bed.get("events", "-A", "--field-selector", "reason=TakeoverHeld")["items"]
            return {each["involvedObject"]["name"] for each in events} == {"h1", "h2"}

        fleets.eventually(held, within=_PATIENCE, what="nothing is decided")
        assert {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in beds.pods(bed, "lost")} == before
        for one in bed.hosts[1:]:
            one.mend()
        # The one that is heard of later may be taken over when the other is back.
        fleets.eventually(lambda: len(beds.ready(bed, "lost")) == 6, within=_PATIENCE, what="all are Ready")
        fleets.eventually(lambda: _promises(bed) == 3, within=_PATIENCE, what="all take part again")
