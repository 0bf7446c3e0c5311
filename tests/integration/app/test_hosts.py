"""Several hosts under one Boxfleet: they join by one line, and their instances are on one network."""

import itertools

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
