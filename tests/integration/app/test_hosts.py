"""Several hosts under one Boxfleet: they join by one line, and their instances are on one network."""

import itertools
import json

import pytest
from tests.integration.app import hosts_bed as beds

from boxfleet.testing import fleet as fleets
from boxfleet.testing import hosts, tools

pytestmark = pytest.mark.machine
bed = beds.bed


def test_instances_reach_each_other_by_their_addresses(bed: hosts.Bed) -> None:
    beds.deliver(bed, "net", tools.server(8080), replicas=3)
    assert sorted(beds.ready(bed, "net").values()) == ["h0", "h1", "h2"]
    where = beds.addresses(bed, "net")
    assert len(set(where.values())) == 3
    for one, other in itertools.product(where, where):
        # A server says whom it sees: nobody stands in between.
        said = bed.kubectl("exec", one, "--", *tools.client(where[other], 8080))
        assert said.strip() == where[one]
        name = bed.get("address", where[other])["spec"]["domain"]
        assert bed.kubectl("exec", one, "--", *tools.client(name, 8080)).strip() == where[one]
    own = {each["node"]: each["address"] for each in bed.get("addresspool", "default")["status"]["hosts"]}
    assert len(set(own.values())) == 3 and own["h0"] == "198.18.0.1"
    for host in bed.hosts:
        for address in where.values():
            assert host.run(*tools.client(address, 8080)).strip() == own[host.node]
    beds.remove(bed, "net")


def test_the_network_is_mended(bed: hosts.Bed) -> None:
    one = bed.hosts[1]
    links = one.run("ip", "-brief", "link")
    device = next(line.split()[0] for line in links.splitlines() if line.startswith("bfx"))
    one.run("ip", "link", "delete", device)
    fleets.eventually(lambda: device in one.run("ip", "-brief", "link"), within=60, what="the hosts are connected")


def test_a_host_that_joins_again_goes_on_as_it_is(bed: hosts.Bed) -> None:
    one = bed.hosts[1]
    beds.deliver(bed, "stays", beds.SLEEPER, replicas=3)
    before = one.instances()
    with pytest.raises(AssertionError, match="there is a node h1, and it is alive"):
        one.join(bed.server.boxfleet("node", "token"))
    assert "is ready" in one.boxfleet("up")
    assert "has no server: deliver there" in one.boxfleet("up", "/etc/hostname", check=False)
    assert one.instances() == before and before
    beds.remove(bed, "stays")


def test_drain_keeps_budgets_and_remove_ends_the_certificate(bed: hosts.Bed) -> None:
    server, going = bed.server, bed.hosts[2]
    beds.deliver(bed, "moves", tools.server(8080), replicas=3)
    before = beds.addresses(bed, "moves")
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "three"},
              "spec": {"minAvailable": 3, "selector": {"matchLabels": {"boxfleet.dev/box": "moves"}}}}  # fmt: skip
    bed.kubectl("apply", "-f", "-", stdin=json.dumps(budget))
    fleets.eventually(
        lambda: bed.get("pdb", "three").get("status", {}).get("currentHealthy") == 3, within=30, what="it is counted"
    )
    assert "would leave" in server.boxfleet("node", "drain", "h2", "--dry-run")
    said = server.boxfleet("node", "drain", "h2", "--timeout", "3", check=False)
    assert "waits: Cannot evict pod as it would violate the pod's disruption budget" in said
    assert "h2" in beds.ready(bed, "moves").values()
    bed.kubectl("delete", "pdb", "three")
    result = json.loads(server.boxfleet("node", "drain", "h2", "-o", "json"))
    assert result["drained"] and len(result["left"]) == 1 and not result["stayed"]
    fleets.eventually(lambda: len(beds.ready(bed, "moves")) == 3, within=60, what="all are Ready elsewhere")
    assert set(beds.ready(bed, "moves").values()) == {"h0", "h1"}
    assert beds.addresses(bed, "moves") == before
    listed = {row["name"]: row for row in json.loads(server.boxfleet("node", "list", "-o", "json"))}
    assert listed["h2"]["status"] == "Ready, cordoned" and listed["h2"]["instances"] == 0
    assert "is removed" in server.boxfleet("node", "remove", "h2")
    assert "h2" not in server.boxfleet("node", "list")
    assert "h2" not in bed.kubectl("get", "leases", "-n", "kube-node-lease", "-o", "name")
    going.run("s6-svc", "-r", f"{going.folder}/r/services/agent")
    log = going.folder / "s" / "logs" / "agent" / "current"
    fleets.eventually(lambda: "cannot join; trying again" in log.read_text(), within=60, what="it is refused")
    assert "h2" not in server.boxfleet("node", "list")
    going.join(server.boxfleet("node", "token"))
    assert "h2" in server.boxfleet("node", "list")
    beds.remove(bed, "moves")
