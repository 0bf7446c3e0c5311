"""Hosts come when instances fit nowhere, and go when they are not needed; no machine is lost, none is made twice."""

import asyncio
import base64
import contextlib
import pathlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.integration.controllers import fleetbed

from boxfleet.api import certificate_request, config, disruption_budget, meta, node, node_pool, pod, unit
from boxfleet.app import node_tokens
from boxfleet.app import settings as app_settings
from boxfleet.client import client, errors, inprocess
from boxfleet.controllers import settings
from boxfleet.ports import provider
from boxfleet.testing import providers

pytestmark = pytest.mark.anyio

SETTINGS = settings.Settings(node_pool_look=0.5)
# What a host of these pools has: two instances of two CPUs each.
HOST = {"cpu": "4", "memory": "20Gi", "pods": "100"}


class Farm:
    """A fleet whose pools have clouds, by name of the pool; machines join as real ones do, by their tokens."""

    def __init__(self, bed: fleetbed.Bed) -> None:
        self.bed = bed
        self.clouds: dict[str, providers.MemoryCloud] = {}
        self.agents: dict[str, asyncio.Task[None]] = {}
        # Machines that never come up.
        self.dead = False

    def cloud(self, name: str) -> providers.MemoryCloud:
        if name not in self.clouds:
            self.clouds[name] = providers.MemoryCloud(on_create=self.boots, on_delete=self.ends)
        return self.clouds[name]

    def connect(self, pool: node_pool.NodePool, secret: Mapping[str, str], fleet: str) -> provider.Provider:
        return self.cloud(pool.metadata.name).provider(fleet=fleet, pool=pool.metadata.name)

    async def boots(self, order: provider.Order) -> None:
        if not self.dead:
            self.agents[order.name] = self.bed.spawn(self._boot(order))

    async def ends(self, name: str) -> None:
        task = self.agents.pop(name, None)
        if task is not None:
            task.cancel()

    async def _boot(self, order: provider.Order) -> None:
        await asyncio.sleep(0.05)
        api = client.Client(inprocess.InProcess(self.bed.server.app, token=order.join.token))
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [
                x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "system:nodes"),
                x509.NameAttribute(x509.NameOID.COMMON_NAME, f"system:node:{order.name}"),
            ]
        )
        wish = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
        spec = certificate_request.RequestSpec(
            request=base64.b64encode(wish.public_bytes(serialization.Encoding.PEM)).decode(),
            signerName=certificate_request.NODE_SIGNER,
            usages=["client auth", "digital signature"],
        )
        with contextlib.suppress(errors.ApiError):
            await api.create(
                certificate_request.CertificateSigningRequest(metadata=meta.ObjectMeta(name=order.name), spec=spec)
            )
        while self.bed.get(node.Node, order.name) is None:
            await asyncio.sleep(0.02)
        agent = fleetbed.FakeAgent(self.bed.api, order.name)
        await agent.report(**HOST)
        await agent.renew()
        await agent.run()

    async def pool(self, name: str = "small", **spec: Any) -> None:
        template = {"resources": HOST, "labels": {"disk": "ssd"}, "zone": "z1"} | spec.pop("template", {})
        body = {
            "metadata": {"name": name},
            "spec": {
                "provider": {"type": "script", "script": "x"},
                "template": template,
                "max": 5,
                "scaleDown": {"unneededSeconds": 1} | spec.pop("scaleDown", {}),
                **spec,
            },
        }
        await self.bed.api.create_raw(node_pool.NodePool, body)

    def status(self, name: str = "small") -> node_pool.NodePoolStatus:
        found = self.bed.get(node_pool.NodePool, name)
        return found.status if found is not None else node_pool.NodePoolStatus()

    def settled(self, name: str = "small", *, hosts: int) -> bool:
        """Whether the pool has so many hosts, all Ready, and the cloud the same machines."""
        status = self.status(name)
        names = {each.name for each in status.machines}
        return (status.hosts, status.readyHosts) == (hosts, hosts) and names == set(self.cloud(name).machines)

    async def unit(self, replicas: int, **more: Any) -> None:
        await self.bed.apply(fleetbed.unit_yaml("app", replicas=replicas, asks='cpu: "2"', **more))


@contextlib.asynccontextmanager
async def farm(folder: pathlib.Path) -> AsyncIterator[Farm]:
    async with fleetbed.bed(folder, SETTINGS) as bed:
        made = Farm(bed)
        await bed.stop_control()
        bed.providers[node_pool.ProviderType.SCRIPT] = made.connect
        bed.joins = node_tokens.PoolJoins(
            app_settings.Server(state=str(folder), listen="192.0.2.1"), clock=fleetbed.CLOCK
        )
        bed.start_control()
        yield made


async def secrets(bed: fleetbed.Bed) -> list[str]:
    found = await bed.api.list(config.Secret, namespace="kube-system")
    return [each.metadata.name for each in found.items if each.metadata.name.startswith("join-token-")]


async def test_hosts_come_for_who_waits_and_go_when_nobody_needs_them(short_dir: pathlib.Path) -> None:
    async with farm(short_dir) as known:
        taint = {"key": "pool", "value": "small", "effect": "NoSchedule"}
        await known.pool(template={"taints": [taint]})
        tolerations = "      tolerations: [{key: pool, operator: Exists}]"
        await known.unit(6, extra=tolerations)
        await known.bed.until_ready(unit.Unit, "app")
        await known.bed.until(lambda: known.settled(hosts=2))
        cloud = known.cloud("small")
        assert len(cloud.created) == 2
        joined = known.bed.get(node.Node, cloud.created[0])
        assert joined is not None
        assert joined.metadata.labels["disk"] == "ssd"
        assert joined.metadata.labels["topology.kubernetes.io/zone"] == "z1"
        assert joined.metadata.labels["boxfleet.dev/node-pool"] == "small"
        assert "pool" in [each.key for each in joined.spec.taints]
        assert await secrets(known.bed) == []
        await known.bed.until(lambda: len(known.bed.events("HostJoined")) == 2)
        await known.bed.api.patch(unit.Unit, "app", {"spec": {"replicas": 1}}, namespace="default")
        await known.bed.until(lambda: known.settled(hosts=0))
        assert sorted(cloud.deleted) == sorted(cloud.created)
        assert [each.metadata.name for each in (await known.bed.api.list(node.Node)).items] == ["node-1"]
        await known.bed.until_ready(unit.Unit, "app")
        assert len(cloud.created) == 2


async def test_a_pool_that_is_sold_out_or_fails_is_skipped_and_says_so(short_dir: pathlib.Path) -> None:
    async with farm(short_dir) as known:
        known.cloud("first").stock = 1
        known.cloud("second").failures["create"] = [provider.Unreachable("no answer")]
        for order, name in enumerate(("first", "second", "third")):
            await known.pool(name, order=order, scaleDown={"enabled": False})
        await known.unit(6)
        await known.bed.until_ready(unit.Unit, "app")
        await known.bed.until(lambda: known.settled("third", hosts=1))
        await known.bed.until(lambda: known.settled("first", hosts=1) and known.settled("second", hosts=0))
        assert known.status("first").soldOutUntil
        assert known.bed.condition(node_pool.NodePool, "first", "Ready")[:2] == ("False", "SoldOut")
        assert known.bed.condition(node_pool.NodePool, "second", "Ready")[:2] == ("False", "Unreachable")
        assert known.bed.condition(node_pool.NodePool, "third", "Ready")[:2] == ("True", "Reachable")
        # It may have been made: it was asked to be taken away.
        assert [what for what, _ in known.cloud("second").calls if what == "delete"]


async def test_an_answer_that_gets_lost_leaves_no_machine_behind(short_dir: pathlib.Path) -> None:
    async with farm(short_dir) as known:
        known.cloud("small").after["create"] = [provider.Unreachable("the line broke")]
        await known.pool(retrySeconds=1)
        await known.unit(4)
        await known.bed.until(lambda: known.cloud("small").created)
        await known.bed.until_ready(unit.Unit, "app")
        await known.bed.until(lambda: known.settled(hosts=1))
        assert len(known.cloud("small").created) == 2
        assert known.cloud("small").deleted == known.cloud("small").created[:1]
        assert await secrets(known.bed) == []


async def _restarted(known: Farm) -> None:
    await known.bed.stop_control()
    known.bed.start_control()


@pytest.mark.parametrize("moment", ["before create", "in create", "before delete", "in delete", *node_pool.Phase])
async def test_a_server_that_ends_at_any_moment_loses_no_machine_and_makes_none_twice(
    short_dir: pathlib.Path, moment: str
) -> None:
    async with farm(short_dir) as known:
        cloud = known.cloud("small")
        done: list[asyncio.Task[None]] = []

        def restart() -> None:
            if not done:
                done.append(known.bed.spawn(_restarted(known)))

        async def hang() -> None:
            if not done:
                restart()
                await asyncio.Event().wait()

        def seen(old: node_pool.NodePool | None, new: node_pool.NodePool | None) -> None:
            if new is not None and moment in [each.phase for each in new.status.machines]:
                restart()

        class Enter:
            """Calls that are cut off before anything is done."""

            def __init__(self) -> None:
                self._real: Callable[..., Any] = cloud.enter

            async def __call__(self, method: str, what: str = "") -> None:
                if moment == f"before {method}":
                    await hang()
                await self._real(method, what)

        cloud.enter = Enter()  # type: ignore[method-assign]
        known.bed.listen(node_pool.NodePool, seen)

        async def boots(order: provider.Order) -> None:
            await known.boots(order)
            if moment == "in create":
                await hang()

        async def ends(name: str) -> None:
            await known.ends(name)
            if moment == "in delete":
                await hang()

        cloud.on_create, cloud.on_delete = boots, ends
        await known.pool()
        await known.unit(4)
        await known.bed.until_ready(unit.Unit, "app")
        await known.bed.until(lambda: known.settled(hosts=1))
        await known.bed.api.patch(unit.Unit, "app", {"spec": {"replicas": 1}}, namespace="default")
        await known.bed.until(lambda: known.settled(hosts=0))
        assert done
        assert (len(cloud.created), len(cloud.deleted)) == (1, 1)
        assert await secrets(known.bed) == []


async def test_a_machine_that_never_joins_is_given_up_and_replaced(short_dir: pathlib.Path) -> None:
    async with farm(short_dir) as known:
        known.dead = True
        await known.pool(min=1, joinSeconds=1, retrySeconds=1)
        await known.bed.until(lambda: known.cloud("small").deleted)
        assert known.status().lastFailure is not None
        known.dead = False
        await known.bed.until(lambda: known.settled(hosts=1))
        assert "has not joined 1 s after it was made" in known.bed.events("NotJoined")[0]


async def test_strays_of_this_pool_go_and_machines_that_are_gone_are_replaced(short_dir: pathlib.Path) -> None:
    async with farm(short_dir) as known:
        await known.pool(min=1)
        await known.bed.until(lambda: known.settled(hosts=1))
        cloud = known.cloud("small")
        fleet = next(iter(cloud.machines.values())).fleet
        cloud.add("small-stray", fleet=fleet, pool="small")
        cloud.add("small-other", fleet="another", pool="small")
        cloud.add("large-1", fleet=fleet, pool="large")
        await known.bed.until(lambda: "small-stray" not in cloud.machines)
        assert {"small-other", "large-1"} <= set(cloud.machines)
        first = cloud.created[0]
        # The cloud takes it away.
        del cloud.machines[first]
        await known.ends(first)
        await known.bed.until(lambda: len(cloud.created) == 2 and known.bed.get(node.Node, first) is None)
        for name in ("small-other", "large-1"):
            del cloud.machines[name]
        await known.bed.until(lambda: known.settled(hosts=1))
        await known.bed.api.delete(node.Node, cloud.created[1])
        await known.bed.until(lambda: len(cloud.created) == 3 and known.settled(hosts=1))


async def test_a_pool_that_is_deleted_takes_its_hosts_with_it_as_budgets_allow(short_dir: pathlib.Path) -> None:
    async with farm(short_dir) as known:
        await known.pool()
        await known.unit(4)
        await known.bed.until_ready(unit.Unit, "app")
        await known.bed.until(lambda: known.settled(hosts=1))
        budget = {
            "metadata": {"name": "all", "namespace": "default"},
            "spec": {"minAvailable": 4, "selector": {"matchLabels": {"boxfleet.dev/unit": "app"}}},
        }
        await known.bed.api.create_raw(disruption_budget.PodDisruptionBudget, budget)
        await known.bed.api.delete(node_pool.NodePool, "small")

        def waits() -> bool:
            said = [each.message for each in known.status().machines]
            return bool(said) and "disruption budget" in said[0]

        await known.bed.until(waits)
        assert known.bed.condition(node_pool.NodePool, "small", "Ready")[1] == "Terminating"
        assert not known.cloud("small").deleted
        await known.bed.api.delete(disruption_budget.PodDisruptionBudget, "all", namespace="default")
        await known.bed.until(lambda: known.bed.get(node_pool.NodePool, "small") is None)
        assert not known.cloud("small").machines
        # Those that it ran wait for a place now.
        await known.bed.until(lambda: [each.spec.nodeName for each in known.bed.all(pod.Pod)].count("node-1") == 2)


async def test_a_silent_provider_holds_up_no_other_pool(short_dir: pathlib.Path) -> None:
    async with farm(short_dir) as known:
        known.cloud("first").silent = asyncio.Event()
        known.cloud("first").patience = 600.0
        await known.pool("first", order=1, max=1)
        await known.pool("second", order=2)
        await known.unit(6)
        # The one machine that it may have is on its way for as long as it says nothing.
        await known.bed.until(lambda: known.settled("second", hosts=1))
        assert known.status("first").joiningHosts == 1
        known.cloud("first").silent.set()  # type: ignore[union-attr]
        await known.bed.until_ready(unit.Unit, "app")


async def test_no_host_comes_for_who_waits_for_shared_memory(short_dir: pathlib.Path) -> None:
    async with farm(short_dir) as known:
        await known.pool()
        known.bed.agent.held["db-0"] = "ImagePullBackOff"
        await known.bed.apply(fleetbed.unit_yaml("db", extra="  provides: [{name: ipc/orders}]"))
        await known.bed.until(lambda: (found := known.bed.get(pod.Pod, "db-0")) and found.spec.nodeName == "node-1")
        consumer = fleetbed.unit_yaml("web", replicas=2, asks='cpu: "2"', extra="  consumes: [{name: ipc/orders}]")
        await known.bed.apply(consumer)
        await known.bed.until(lambda: any("ipc/orders" in each for each in known.bed.events("FailedScheduling")))
        # Of those who need a host besides, two find room where there is one, and two on a new one.
        await known.unit(4)
        await known.bed.until_ready(unit.Unit, "app")
        await known.bed.until(lambda: known.settled(hosts=1))
        assert len(known.cloud("small").created) == 1
