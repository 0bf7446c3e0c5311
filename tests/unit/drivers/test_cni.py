"""What the CNI plug-ins are told."""

import json

from boxfleet.drivers.cni import conflist
from boxfleet.ports import network

POOL = network.PoolNetwork(name="default", cidr="10.88.0.0/16", gateway="10.88.0.1", bridge="boxfleet0", mtu=1400)


def test_the_network_is_a_bridge_with_ports() -> None:
    told = json.loads(conflist.conflist(POOL))
    assert (told["cniVersion"], told["name"]) == ("0.4.0", "boxfleet-boxfleet0")
    bridge, portmap = told["plugins"]
    assert (bridge["type"], bridge["bridge"], bridge["mtu"], bridge["isGateway"]) == ("bridge", "boxfleet0", 1400, True)
    assert bridge["ipam"] == {"type": "boxfleet-ipam"}
    assert portmap["capabilities"] == {"portMappings": True}


def test_an_answer_has_two_lines() -> None:
    answer, hardware = conflist.answer(POOL, address="10.88.3.4").splitlines()
    assert json.loads(answer) == {
        "cniVersion": "0.4.0",
        "ips": [{"version": "4", "address": "10.88.3.4/16", "gateway": "10.88.0.1"}],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    assert hardware == "0a:bf:0a:58:03:04"


def test_hardware_addresses_are_local_and_differ() -> None:
    made = {conflist.hardware_address(f"10.88.{high}.{low}") for high in (0, 255) for low in range(256)}
    assert len(made) == 512
    # Locally administered, and of one interface only.
    assert all(int(one[:2], 16) & 3 == 2 for one in made)
