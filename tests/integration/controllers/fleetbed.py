"""A control plane on the real in-process API, with a stand-in for the agent that says bound Pods are Ready."""

import asyncio
import contextlib
import dataclasses
import pathlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import msgspec
import yaml
from tests.integration.controllers import homes

from boxfleet.api import (
    address,
    address_pool,
    box,
    cluster,
    config,
    event,
    labels,
    lease,
    meta,
    namespace,
    node,
    node_pool,
    placement,
    pod,
    roles,
    service_account,
    tenant,
    unit,
    volume_claim,
)
from boxfleet.app import hub_controllers
from boxfleet.client import cache, client, errors, shared
from boxfleet.controllers import manager
from boxfleet.controllers import settings as controller_settings
from boxfleet.controllers.cluster import controller as driving
from boxfleet.controllers.node_pool import joining
from boxfleet.kit import clock
from boxfleet.scheduler import scheduler
from boxfleet.scheduler import settings as scheduler_settings
from boxfleet.testing import server

CLOCK = clock.SystemClock()
PATIENCE = 20.0
DEFAULTS = controller_settings.Settings()
_SEEN = (
    box.Box, unit.Unit, pod.Pod, address.Address, address_pool.AddressPool, placement.Placement, node.Node,
    node_pool.NodePool, cluster.Cluster, volume_claim.PersistentVolumeClaim, config.ConfigMap, event.Event,
    namespace.Namespace, service_account.ServiceAccount, tenant.Tenant,
)  # fmt: skip


class FakeAgent:
    """Runs nothing: a Pod that is bound and has its address is Running and Ready at once, unless held back."""

    def __init__(self, api: client.Client, name: str = "node-1") -> None:
        self._api = api
        self.name = name
        self._pods = cache.Cache(api, pod.Pod, fields=f"spec.nodeName={name}")
        self._wake = asyncio.Event()
        self._dirty: set[meta.Key] = set()
        # Pods that do not become ready, and why.
        self.held: dict[str, str] = {}
        # Pods that end with success as soon as they run.
        self.ending: set[str] = set()
        # Every moment at which a Pod ran: (name, address).
        self.ran: list[tuple[str, str]] = []
        self._pods.listen(self._changed)

    async def register(self, **allocatable: str) -> None:
        offers = {"cpu": "4", "memory": "20Gi", "pods": "2000"} | allocatable
        await self._api.create(
            node.Node(
                metadata=meta.ObjectMeta(name=self.name, labels={labels.CLUSTER: "local", labels.HOSTNAME: self.name})
            )
        )
        await self.report(**offers)

    async def report(self, **offers: str) -> None:
        """Say that the Node is Ready and what it has."""
        now = clock.stamp(CLOCK.now())
        ready = node.NodeCondition(
            type="Ready", status="True", reason="AgentReady", lastHeartbeatTime=now, lastTransitionTime=now
        )
        change = {"status": {"allocatable": offers, "capacity": offers, "conditions": [msgspec.to_builtins(ready)]}}
        await self._api.patch(node.Node, self.name, change, subresource="status", type="strategic")

    async def renew(self) -> None:
        """Give a sign of life."""
        stamp = clock.micro_stamp(CLOCK.now())
        change = {"spec": {"holderIdentity": self.name, "leaseDurationSeconds": 40, "renewTime": stamp}}
        try:
            await self._api.patch(lease.Lease, self.name, change, namespace=labels.LEASE_NAMESPACE)
        except errors.NotFound:
            made = lease.Lease(
                metadata=meta.ObjectMeta(name=self.name, namespace=labels.LEASE_NAMESPACE),
                spec=lease.LeaseSpec(holderIdentity=self.name, leaseDurationSeconds=40, renewTime=stamp),
            )
            await self._api.create(made)

    def release(self, name: str) -> None:
        """Let a held Pod become ready."""
        self.held.pop(name)
        self._dirty.update(each.key for each in self._pods if each.metadata.name == name)
        self._wake.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pods.run())
            group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._dirty:
                key = self._dirty.pop()
                with contextlib.suppress(errors.NotFound, errors.Conflict):
                    await self._one(key)

    async def _one(self, key: meta.Key) -> None:
        subject = self._pods.get(key)
        if subject is None:
            return
        if subject.metadata.deletionTimestamp:
            await self._api.delete(
                pod.Pod, key.name, namespace=key.namespace, uid=subject.metadata.uid, grace_seconds=0
            )
            return
        held_address = subject.metadata.annotations.get(labels.ADDRESS, "")
        if subject.status.phase in ("Succeeded", "Failed") or not (held_address or subject.spec.hostNetwork):
            return
        reason = self.held.get(key.name)
        ready = reason is None
        if meta.is_true(subject.status.conditions, "Ready") == ready and subject.status.containerStatuses:
            return
        if held_address:
            # Like the real one, it runs nothing on an address that the ledger does not give to that very instance.
            held = await self._api.find(address.Address, held_address)
            if held is None or (held.spec.namespace, held.spec.instance) != (key.namespace, key.name):
                return
        self.ran.append((key.name, held_address))
        await self._api.patch(
            pod.Pod,
            key.name,
            {"metadata": {"uid": subject.metadata.uid}, "status": self._status(subject, reason)},
            namespace=key.namespace,
            subresource="status",
            type="strategic",
        )

    def _status(self, subject: pod.Pod, reason: str | None) -> dict[str, Any]:
        now = clock.stamp(CLOCK.now())
        ends = subject.metadata.name in self.ending
        state: dict[str, Any] = {"running": {"startedAt": now}}
        if reason is not None:
            state = {"waiting": {"reason": reason}}
        elif ends:
            state = {"terminated": {"exitCode": 0, "reason": "Completed"}}
        ready = reason is None and not ends
        return {
            "phase": "Succeeded" if ends else "Pending" if reason else "Running",
            "podIP": subject.metadata.annotations.get(labels.ADDRESS, ""),
            "conditions": [{"type": "Ready", "status": str(ready), "lastTransitionTime": now}],
            "containerStatuses": [
                {
                    "name": each.name, "image": each.image, "imageID": "", "restartCount": 0, "ready": ready,
                    "started": reason is None, "state": state,
                }
                for each in subject.spec.containers
            ],
        }  # fmt: skip

    def _changed(self, old: pod.Pod | None, new: pod.Pod | None) -> None:
        if new is not None:
            self._dirty.add(new.key)
            self._wake.set()


class Bed:
    """What a test holds: the API, what is there now, the agent, and the control plane to stop and start."""

    def __init__(self, api: homes.Home, group: asyncio.TaskGroup, settings: controller_settings.Settings) -> None:
        self._home = api
        self.api = api.admin
        self.agent = FakeAgent(api.admin)
        self._group = group
        self._tasks: list[asyncio.Task[None]] = []
        self._settings = settings
        self._seen = shared.Caches(api.admin, clock=CLOCK)
        self._changed = asyncio.Event()
        for kind in _SEEN:
            self._seen.of(kind).listen(self._wake)
        self._control: asyncio.Task[None] | None = None
        # What makes machines for NodePools, by type, and lets them join; for controls that are started afterwards.
        self.providers: dict[node_pool.ProviderType, joining.Connect] = {}
        self.joins: joining.Joins | None = None
        # Drivers of clusters that others run, by type; for controls that are started afterwards.
        self.connectors: dict[cluster.ClusterType, driving.Connect] = {}

    @property
    def server(self) -> server.Api:
        """Boxfleet's own server, where that is the home."""
        assert isinstance(self._home, server.Api)
        return self._home

    def all(self, kind: type[meta.T]) -> list[meta.T]:
        return list(self._seen.of(kind))

    def listen(self, kind: type[meta.T], listener: cache.Listener[meta.T]) -> None:
        self._seen.of(kind).listen(listener)

    def get(self, kind: type[meta.T], name: str, namespace: str = "default") -> meta.T | None:
        return self._seen.of(kind).find(name, namespace=namespace if kind.KIND.namespaced else "")

    async def start(self) -> None:
        self.spawn(self._seen.run())
        await self._seen.synced()
        self.start_control()
        await self.until(lambda: len(self.all(namespace.Namespace)) >= 3 and self.all(address_pool.AddressPool))
        await self.agent.register()
        await self.agent.renew()
        self.spawn(self.agent.run())

    async def add_agent(self, name: str, **allocatable: str) -> FakeAgent:
        """One more host."""
        made = FakeAgent(self.api, name)
        await made.register(**allocatable)
        await made.renew()
        self.spawn(made.run())
        return made

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._group.create_task(work)
        self._tasks.append(task)
        return task

    def start_control(self) -> None:
        self._control = self.spawn(self._run_control())

    async def stop_control(self) -> None:
        assert self._control is not None
        self._control.cancel()
        await asyncio.wait([self._control])

    async def _run_control(self) -> None:
        # As in the server process: one set of caches for both.
        part = self._home.part
        caches = shared.Caches(part(roles.CONTROLLERS), clock=CLOCK)
        chooser_caches = caches.speaking(part(roles.SCHEDULER))
        # What Kubernetes' own controllers do on a hub.
        own: dict[str, Any] = {}
        if isinstance(self._home, server.Api):
            own = {
                "garbage_api": part(roles.GARBAGE_COLLECTOR),
                "namespace_api": part(roles.NAMESPACE_CONTROLLER),
                "node_pool_api": part(roles.NODE_POOL_CONTROLLER),
                "quota_api": part(roles.QUOTA_CONTROLLER),
                "token_api": part(roles.TOKEN_CONTROLLER),
                "sign": self._home.accounts.secret_token,
            }
        hub = not own
        controllers = manager.Manager(
            caches,
            clock=CLOCK,
            settings=dataclasses.replace(self._settings, hub=hub),
            cluster_api=part(roles.CLUSTER_CONTROLLER),
            connectors=self.connectors,
            providers=self.providers,
            joins=self.joins,
            tenant_api=part(roles.TENANT_CONTROLLER),
            **own,
        )
        chosen = hub_controllers.SCHEDULING if hub else scheduler_settings.Settings()
        chooser = scheduler.Scheduler(chooser_caches, clock=CLOCK, settings=chosen)
        async with asyncio.TaskGroup() as group:
            group.create_task(caches.run())
            group.create_task(controllers.run())
            group.create_task(chooser.run())

    async def apply(self, text: str) -> None:
        """Create or merge objects written as YAML."""
        kinds = {each.KIND.kind: each for each in (box.Box, unit.Unit, pod.Pod, volume_claim.PersistentVolumeClaim)}
        for body in yaml.safe_load_all(text):
            kind = kinds[body["kind"]]
            body["metadata"].setdefault("namespace", "default")
            name, where = body["metadata"]["name"], body["metadata"]["namespace"]
            try:
                await self.api.create_raw(kind, body)
            except errors.AlreadyExists:
                await self.api.patch(kind, name, body, namespace=where)

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds, looking again whenever anything changes."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(self.describe()) from None

    async def until_ready(self, kind: type[meta.Object], name: str, namespace: str = "default") -> None:
        await self.until(lambda: self.condition(kind, name, "Ready", namespace=namespace)[0] == "True")

    def condition(self, kind: type[Any], name: str, type: str, namespace: str = "default") -> tuple[str, str, str]:
        found = self.get(kind, name, namespace)
        said = meta.find_condition(found.status.conditions, type) if found is not None else None
        if found is None or said is None:
            return ("", "", "")
        if found.metadata.generation > getattr(found.status, "observedGeneration", found.metadata.generation):
            return ("", "", "")
        return (said.status, said.reason, said.message)

    def address_of(self, instance: str, namespace: str = "default") -> str:
        found = [
            each.metadata.name
            for each in self.all(address.Address)
            if (each.spec.namespace, each.spec.instance) == (namespace, instance)
        ]
        return found[0] if len(found) == 1 else ",".join(found)

    def events(self, reason: str) -> list[str]:
        return [each.message for each in self.all(event.Event) if each.reason == reason]

    def describe(self) -> str:
        lines = []
        for kind in (box.Box, unit.Unit, pod.Pod, node.Node, node_pool.NodePool, namespace.Namespace):
            for each in self.all(kind):  # type: ignore[type-abstract]
                said = "; ".join(f"{c.type}={c.status} {c.reason} {c.message}" for c in each.status.conditions)
                going = " (going)" if each.metadata.deletionTimestamp else ""
                lines.append(f"{kind.__name__} {each.key}{going}: {said}")
        lines += [
            f"container {each.metadata.name}/{one.name}: {one.state.waiting.reason} {one.state.waiting.message}"
            for each in self.all(pod.Pod)
            for one in each.status.containerStatuses
            if one.state.waiting is not None
        ]
        lines += [
            f"Address {each.metadata.name} {each.spec.instance} {each.status}" for each in self.all(address.Address)
        ]
        lines += [f"Event {each.type} {each.reason} {each.message}" for each in self.all(event.Event)]
        return "not so in time; there is:\n" + "\n".join(lines)

    def _wake(self, old: object, new: object) -> None:
        self._changed.set()


@contextlib.asynccontextmanager
async def bed(folder: pathlib.Path, settings: controller_settings.Settings = DEFAULTS) -> AsyncIterator[Bed]:
    """A whole control plane without hosts."""
    async with homes.running(folder) as api, asyncio.TaskGroup() as group:
        made = Bed(api, group, settings)
        await made.start()
        try:
            yield made
        finally:
            await made.stop()


def unit_yaml(
    name: str, *, replicas: int = 1, extra: str = "", policy: str = "Always", image: str = "app:1", asks: str = ""
) -> str:
    return f"""
apiVersion: boxfleet.dev/v1
kind: Unit
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  template:
    spec:
      restartPolicy: {policy}
      containers:
      - {{name: main, image: "{image}", resources: {{requests: {{{asks}}}}}}}
{extra}
"""
