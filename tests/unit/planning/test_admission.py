"""Rules that look at other objects: pools beside pools, addresses beside pools and instances."""

from collections.abc import Iterator

import msgspec
import pytest

from boxfleet.api import address, address_pool, kind, labels, meta, pod, unit
from boxfleet.planning import admission

NETWORK = "10.88.0.0/24"


class Look:
    """Implements admission.Look on a list."""

    def __init__(self, *there: meta.Object) -> None:
        self._there = there

    def find(self, type: type[meta.T], name: str, *, namespace: str = "") -> meta.T | None:
        return next((each for each in self.all(type, namespace=namespace) if each.metadata.name == name), None)

    def all(self, type: type[meta.T], *, namespace: str = "") -> Iterator[meta.T]:
        for each in self._there:
            if each.KIND.qualified == type.KIND.qualified and namespace in ("", each.metadata.namespace):
                yield msgspec.json.decode(msgspec.json.encode(each), type=type)


def a_pool(name: str, cidr: str = NETWORK, **spec: str) -> address_pool.AddressPool:
    return address_pool.AddressPool(
        metadata=meta.ObjectMeta(name=name), spec=msgspec.convert({"cidr": cidr, **spec}, address_pool.AddressPoolSpec)
    )


def an_address(name: str, **spec: object) -> address.Address:
    filled = {"pool": "default", **spec}
    return address.Address(metadata=meta.ObjectMeta(name=name), spec=msgspec.convert(filled, address.AddressSpec))


def a_unit(name: str) -> unit.Unit:
    return unit.Unit(metadata=meta.ObjectMeta(name=name, namespace="default"), spec=unit.UnitSpec(template={}))


def a_pod(name: str, has: str = "") -> pod.Pod:
    metadata = meta.ObjectMeta(name=name, namespace="default", annotations={labels.ADDRESS: has} if has else {})
    return pod.Pod(metadata=metadata, spec=pod.PodSpec(containers=[]))


def errors(new: meta.Object, *there: meta.Object, old: meta.Object | None = None) -> list[str]:
    before = as_json(old) if old is not None else None
    found = admission.POLICY.rules[new.KIND.qualified].write(as_json(new), before, Look(*there))
    return [f"{each.field}: {each.message}" for each in found]


def as_json(obj: meta.Object) -> kind.JsonObject:
    return {"metadata": {}, "spec": {}} | meta.to_dict(obj)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({}, "hands out 10.88.0.1 to 10.88.0.254"),
        ({"start": "10.88.0.200"}, "hands out 10.88.0.1 to 10.88.0.254"),
        ({"cidr": "10.88.0.0/16"}, "overlapping network"),
        ({"cidr": "10.88.0.128/25"}, "overlapping network"),
        ({"bridge": "other0"}, "gateway and bridge must be the same: 10.88.0.1, boxfleet0"),
    ],
)
def test_a_pool_that_overlaps_names_the_other(spec: dict[str, str], words: str) -> None:
    found = errors(a_pool("more", **spec), a_pool("default"))
    assert len(found) == 1 and found[0].startswith("spec.cidr: Invalid value")
    assert f"AddressPool default ({NETWORK})" in found[0] and words in found[0]


def test_pools_side_by_side() -> None:
    first = a_pool("default", end="10.88.0.99")
    assert errors(a_pool("more", start="10.88.0.100"), first) == []
    assert errors(a_pool("more", "10.88.1.0/24"), first) == []
    # What is there already may be written again, for example with a label.
    assert errors(first, first, a_pool("more"), old=first) == []
    assert errors(a_pool("default"), first, a_pool("more", start="10.88.0.100"), old=first) != []


def test_a_gateway_is_nobodys_address() -> None:
    held = an_address("10.88.0.7", namespace="default", instance="app-0")
    found = errors(a_pool("default", gateway="10.88.0.7"), a_pool("default"), held, old=a_pool("default"))
    assert found == [
        'spec.gateway: Invalid value: "10.88.0.7": default/app-0 has this address: choose a free one, or let that one '
        "go first"
    ]


def test_a_pool_goes_only_when_nobody_has_an_address_of_it() -> None:
    rules = admission.POLICY.rules[address_pool.AddressPool.KIND.qualified]
    held = [an_address(f"10.88.0.{number}", namespace="default", instance=f"app-{number}") for number in range(2, 7)]
    text = rules.delete(as_json(a_pool("default")), Look(*held))
    assert "10.88.0.2 (default/app-2)" in text and "2 more" in text and "kubectl get addresses" in text
    assert rules.delete(as_json(a_pool("other")), Look(*held)) == ""


@pytest.mark.parametrize(
    ("name", "pool", "words"),
    [
        ("10.88.0.1", "default", "gateway"),
        ("10.88.0.0", "default", "network or the broadcast"),
        ("10.88.0.255", "default", "network or the broadcast"),
        ("192.0.2.1", "default", "does not have it: it hands out 10.88.0.1 to 10.88.0.254"),
        ("10.88.0.9", "default", "spec.exclude"),
        ("10.88.0.5", "nowhere", 'Not found: "nowhere": the AddressPools are: default'),
    ],
)
def test_an_address_that_no_pool_hands_out(name: str, pool: str, words: str) -> None:
    default = a_pool("default")
    default.spec.exclude = ["10.88.0.9"]
    found = errors(
        an_address(name, namespace="default", instance="app-0", unit="app", pool=pool), default, a_unit("app")
    )
    assert len(found) == 1 and words in found[0]
    assert errors(an_address(name, reserved=True, pool=pool), default)


def test_an_address_is_for_an_instance_that_can_have_it() -> None:
    default = a_pool("default")
    of_unit = an_address("10.88.0.5", namespace="default", instance="app-0", unit="app")
    assert errors(of_unit, default, a_unit("app")) == []
    assert "there is no such Unit in namespace default" in errors(of_unit, default)[0]
    strange = an_address("10.88.0.5", namespace="default", instance="app-x", unit="app")
    assert "is named app-ORDINAL" in errors(strange, default, a_unit("app"))[0]
    of_pod = an_address("10.88.0.5", namespace="default", instance="one")
    assert errors(of_pod, default, a_pod("one")) == []
    assert "spec.reserved" in errors(of_pod, default)[0]
    other = an_address("10.88.0.7", namespace="default", instance="one")
    assert "has the address 10.88.0.7 already" in errors(of_pod, default, a_pod("one", "10.88.0.7"), other)[0]
    # An annotation alone is no address.
    assert errors(of_pod, default, a_pod("one", "10.88.0.7")) == []


def test_a_reservation_needs_nobody() -> None:
    default = a_pool("default")
    assert errors(an_address("10.88.0.5", reserved=True), default) == []
    assert errors(an_address("10.88.0.5", reserved=True, namespace="later", instance="app-0"), default) == []
