"""The ledger beside people: pools that overlap, addresses that are reserved or made by hand."""

import pathlib

import pytest
from tests.integration.controllers import fleetbed

from boxfleet.api import address, address_pool, admission, meta, pod, unit
from boxfleet.client import errors
from boxfleet.controllers import bootstrap
from boxfleet.planning import admission as rules

pytestmark = pytest.mark.anyio

POD = "{apiVersion: v1, kind: Pod, metadata: {name: NAME}, spec: {containers: [{name: c, image: i}]}}"


def a_pool(name: str, cidr: str) -> address_pool.AddressPool:
    return address_pool.AddressPool(
        metadata=meta.ObjectMeta(name=name), spec=address_pool.AddressPoolSpec(cidr=cidr, bridge="boxfleet1")
    )


def reserved(name: str, **whose: str) -> address.Address:
    return address.Address(
        metadata=meta.ObjectMeta(name=name), spec=address.AddressSpec(pool="default", reserved=True, **whose)
    )


async def test_pools_do_not_overlap_and_stay_while_they_are_used(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        with pytest.raises(errors.Invalid, match="AddressPool default"):
            await bed.api.create(a_pool("more", "10.88.4.0/24"))
        await bed.apply(POD.replace("NAME", "one"))
        await bed.until_ready(pod.Pod, "one")
        with pytest.raises(errors.ApiError, match=r"in use: .*default/one") as refused:
            await bed.api.delete(address_pool.AddressPool, "default")
        assert refused.value.code == 403
        await bed.api.delete(pod.Pod, "one", namespace="default")
        await bed.until(lambda: not bed.all(address.Address))
        await bed.api.delete(address_pool.AddressPool, "default")
        await bed.until(lambda: not bed.all(address_pool.AddressPool))
        # `boxfleet up` makes it again, unless there is another one.
        await bootstrap.make(bed.api, fleetbed.DEFAULTS)
        assert [each.metadata.name for each in (await bed.api.list(address_pool.AddressPool)).items] == ["default"]
        await bed.api.create(a_pool("more", "10.99.4.0/24"))
        await bed.api.delete(address_pool.AddressPool, "default")
        await bootstrap.make(bed.api, fleetbed.DEFAULTS)
        assert [each.metadata.name for each in (await bed.api.list(address_pool.AddressPool)).items] == ["more"]


async def test_of_pools_that_were_made_at_once_the_older_counts(
    short_dir: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on a server that did not see the other's write yet.
    known = {**rules.POLICY.rules, address_pool.AddressPool.KIND.qualified: admission.Rules()}
    monkeypatch.setattr(rules, "POLICY", admission.Policy(rules=known, accounts=rules.POLICY.accounts))
    async with fleetbed.bed(short_dir) as bed:
        await bed.api.create(a_pool("more", "10.88.0.0/24"))
        await bed.until(lambda: bed.condition(address_pool.AddressPool, "more", "Available")[1] == "Overlaps")
        assert "AddressPool default" in bed.condition(address_pool.AddressPool, "more", "Available")[2]
        await bed.api.delete(address_pool.AddressPool, "default")
        await bed.until(lambda: bed.condition(address_pool.AddressPool, "more", "Available")[0] == "True")


async def test_reserved_addresses(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await bed.api.create(reserved("10.88.0.2"))
        await bed.api.create(reserved("10.88.0.77", namespace="default", instance="app-0"))
        await bed.apply(fleetbed.unit_yaml("app", replicas=2))
        await bed.until_ready(unit.Unit, "app")
        assert (bed.address_of("app-0"), bed.address_of("app-1")) == ("10.88.0.77", "10.88.0.3")
        held = bed.get(address.Address, "10.88.0.77")
        assert held is not None and held.spec.unit == "app" and held.spec.domain.startswith("app-0.")
        # It stays when its Unit goes, and the Unit has it again later.
        await bed.api.delete(unit.Unit, "app", namespace="default")
        await bed.until(lambda: not bed.all(pod.Pod) and len(bed.all(address.Address)) == 2)
        await bed.until(lambda: (a := bed.get(address.Address, "10.88.0.77")) and a.status.phase == "Reserved")
        await bed.apply(fleetbed.unit_yaml("app"))
        await bed.until_ready(unit.Unit, "app")
        assert bed.address_of("app-0") == "10.88.0.77"
        # What is no longer reserved goes with its Unit.
        await bed.api.patch(address.Address, "10.88.0.77", {"spec": {"reserved": False}})
        await bed.api.delete(unit.Unit, "app", namespace="default")
        await bed.until(lambda: [each.metadata.name for each in bed.all(address.Address)] == ["10.88.0.2"])


async def test_a_pod_has_the_address_that_was_reserved_for_it(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await bed.api.create(reserved("10.88.0.50", namespace="default", instance="one"))
        await bed.apply(POD.replace("NAME", "one"))
        await bed.until_ready(pod.Pod, "one")
        assert bed.address_of("one") == "10.88.0.50"
        await bed.until(lambda: (a := bed.get(address.Address, "10.88.0.50")) and a.spec.domain)


async def test_a_second_address_goes_with_an_event(short_dir: pathlib.Path) -> None:
    async with fleetbed.bed(short_dir) as bed:
        await bed.apply(fleetbed.unit_yaml("app"))
        await bed.until_ready(unit.Unit, "app")
        has = bed.address_of("app-0")
        second = reserved("10.88.0.50", namespace="default", instance="app-0", unit="app")
        await bed.api.create(second)
        await bed.api.patch(address.Address, "10.88.0.50", {"spec": {"reserved": False}})
        await bed.until(lambda: bed.events("Released"))
        assert has in bed.events("Released")[0]
        await bed.until(lambda: bed.address_of("app-0") == has)
