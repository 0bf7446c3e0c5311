"""Which interfaces of a host are ends of instances, and what a bridge lacks; as `ip -json -details` shows them."""

import json
import pathlib
from typing import Any

import pytest

from boxfleet.drivers.cni import ends
from boxfleet.ports import network

POOL = network.PoolNetwork(name="default", cidr="10.88.0.0/16", gateway="10.88.0.1", bridge="boxfleet0")


def link(name: str, kind: str = "veth", **more: Any) -> dict[str, Any]:
    return {"ifname": name, "flags": ["UP"], "linkinfo": {"info_kind": kind}, "addr_info": [], **more}


BRIDGE = link("boxfleet0", "bridge", addr_info=[{"local": "10.88.0.1", "prefixlen": 16}])


@pytest.fixture
def notes(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setattr(ends, "CACHE", tmp_path)
    return tmp_path


def note(folder: pathlib.Path, name: str, *interfaces: dict[str, str], **capabilities: Any) -> None:
    text = json.dumps({"kind": "cniCacheV1", "capabilityArgs": capabilities, "result": {"interfaces": interfaces}})
    (folder / f"{name}-eth0").write_text(text)


def test_only_ends_that_the_plug_ins_made_and_that_hang_on_nothing(notes: pathlib.Path) -> None:
    inside = {"name": "eth0", "sandbox": "/run/netns/x"}
    note(notes, "boxfleet-boxfleet0-a", {"name": "boxfleet0"}, {"name": "veth1"}, inside, portMappings=None)
    note(notes, "boxfleet-boxfleet0-b", {"name": "boxfleet0"}, {"name": "veth2"}, inside)
    note(notes, "other-network-c", {"name": "veth3"}, inside)
    (notes / "boxfleet-boxfleet0-d-eth0").write_text("{half a")
    known = ends.noted("boxfleet-boxfleet0", bridge="boxfleet0")
    assert known == ends.Noted(frozenset({"veth1", "veth2"}), has_ports=False)
    links = [BRIDGE, link("veth1"), link("veth2", master="boxfleet0"), link("veth3"), link("eth0", "dummy")]
    assert ends.loose(links, known) == ["veth1"]
    note(notes, "boxfleet-boxfleet0-e", portMappings=[{"hostPort": 80, "containerPort": 80}])
    assert ends.noted("boxfleet-boxfleet0", bridge="boxfleet0").has_ports


def test_what_a_bridge_lacks_is_said() -> None:
    assert ends.lacks(POOL, [link("lo", ""), BRIDGE]) == ""
    assert ends.lacks(POOL, [link("lo", "")]) == "there is no bridge boxfleet0"
    assert ends.lacks(POOL, [link("boxfleet0", "dummy")]) == "boxfleet0 is no bridge"
    assert ends.lacks(POOL, [BRIDGE | {"flags": ["BROADCAST"]}]) == "bridge boxfleet0 is down"
    assert ends.lacks(POOL, [BRIDGE | {"addr_info": []}]) == "bridge boxfleet0 has not the address 10.88.0.1"
