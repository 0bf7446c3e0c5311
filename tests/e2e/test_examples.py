"""The examples: a Compose file with data that stays, and an ensemble whose members must know each other."""

import re
import urllib.parse
import urllib.request

import pytest

from boxfleet.testing import fleet as fleets

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def test_a_compose_file_is_delivered_and_keeps_its_data(fleet: fleets.Fleet) -> None:
    said = fleet.boxfleet("up", "examples/guestbook/compose.yaml", timeout=600).stdout
    site = re.search(r"^site: (\S+:8080/)", said, re.MULTILINE)
    assert site, said
    entry = urllib.parse.urlencode({"entry": "signed before the restart"}).encode()
    try:
        urllib.request.urlopen(site[1], data=entry, timeout=10).close()
        before = fleet.identities()
        old = fleet.get("pod", "guestbook-redis-0")["metadata"]["uid"]
        fleet.kubectl("delete", "pod", "guestbook-redis-0")
        fleets.eventually(
            lambda: fleet.get("pod", "guestbook-redis-0")["metadata"]["uid"] != old, within=30, what="a new pod"
        )
        fleet.kubectl("wait", "--for=condition=Ready", "box/guestbook", "--timeout=60s")

        def kept() -> bool:
            with urllib.request.urlopen(site[1], timeout=10) as page:
                return b"signed before the restart" in page.read()

        fleets.eventually(kept, within=30, what="the entry")
        assert fleet.identities() == before
    finally:
        fleet.kubectl("delete", "box/guestbook")


def role_of(fleet: fleets.Fleet, member: int) -> str:
    script = "exec 3<>/dev/tcp/127.0.0.1/2181; echo srvr >&3; cat <&3"
    said = fleet.kubectl("exec", f"zookeeper-server-{member}", "--", "bash", "-c", script).stdout
    mode = re.search(r"^Mode: (\w+)", said, re.MULTILINE)
    return mode[1] if mode else said


def test_the_members_of_an_ensemble_know_each_other(fleet: fleets.Fleet) -> None:
    fleet.boxfleet("up", "examples/zookeeper", timeout=600)
    try:
        assert sorted(role_of(fleet, member) for member in range(3)) == ["follower", "follower", "leader"]
        leader = next(member for member in range(3) if role_of(fleet, member) == "leader")
        before = fleet.identities()
        fleet.kubectl("delete", "pod", f"zookeeper-server-{leader}")
        fleets.eventually(
            lambda: sorted(role_of(fleet, member) for member in range(3)) == ["follower", "follower", "leader"],
            within=90,
            what="one leader again",
        )
        assert fleet.identities() == before
    finally:
        fleet.kubectl("delete", "box/zookeeper")
