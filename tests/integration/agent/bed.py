"""One host for tests: a real containerd, network and name server, a real API in process, and the agent."""

import asyncio
import contextlib
import dataclasses
import itertools
import pathlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from tests.integration.agent import image

from boxfleet.agent import agent as agents
from boxfleet.agent import settings
from boxfleet.agent.node import cgroups
from boxfleet.api import address as addresses
from boxfleet.api import address_pool, meta, namespace, service_account
from boxfleet.api import pod as pods
from boxfleet.client import client, errors
from boxfleet.drivers.cni import network as cni
from boxfleet.drivers.containerd import config, daemon
from boxfleet.drivers.dnsmasq import server as dnsmasq
from boxfleet.kit import clock
from boxfleet.testing import cuttable, server

CGROUP = "/bf-agent"
BRIDGE = "bfagent0"
PREFIX = "10.213.77"
# The host itself on the network of its instances.
GATEWAY = f"{PREFIX}.1"
_numbers = itertools.count(10)


@dataclasses.dataclass(kw_only=True)
class Host:
    """The engines of the host, shared by tests."""

    folder: pathlib.Path
    containerd: daemon.Daemon
    network: cni.Network
    names_settings: dnsmasq.Settings


@contextlib.asynccontextmanager
async def host(folder: pathlib.Path) -> AsyncIterator[Host]:
    """Engines that leave nothing behind."""
    network = cni.Network(cni.Settings(folder=folder / "cni"))
    wish = config.Settings.below(
        state=folder / "state",
        run=folder / "run",
        cni_bin=network.settings.bin,
        cni_conf=network.settings.conf,
        cgroup_parent=CGROUP,
    )
    for part in (folder / "state" / "logs", folder / "run", folder / "dns"):
        part.mkdir(parents=True, exist_ok=True)
    engine = daemon.Daemon(wish, told=print)
    names = dnsmasq.Settings(folder=folder / "dns", pid_file=folder / "run" / "dns.pid", log_file=folder / "dns.log")
    try:
        await engine.start()
        archive = folder / "image.tar"
        archive.write_bytes(image.archive())
        await engine.images.load(str(archive))
        yield Host(folder=folder, containerd=engine, network=network, names_settings=names)
    finally:
        await engine.purge()
        await network.remove()
        cgroups.remove(pathlib.Path("/sys/fs/cgroup"), CGROUP)


@dataclasses.dataclass(kw_only=True)
class Bed:
    """A host with its API; agents are started in it."""

    host: Host
    api: server.Api
    state: pathlib.Path
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    running: asyncio.Task[None] | None = None
    # How the agent reaches the server, and by which clock it goes.
    via: cuttable.Cuttable = dataclasses.field(init=False)
    time: clock.Clock = dataclasses.field(default_factory=clock.SystemClock)

    def __post_init__(self) -> None:
        self.via = cuttable.Cuttable(self.api.node._via)

    def start(self) -> None:
        """Start the agent."""
        self.names = dnsmasq.Server(self.host.names_settings, told=print)
        wish = settings.Settings(
            node=server.NODE,
            state=str(self.state / "agent"),
            logs=str(self.state / "logs"),
            cgroup_parent=CGROUP,
            **self.options,
        )
        self.agent = agents.Agent(
            wish,
            api=client.Client(self.via),
            engine=self.host.containerd.runtime,
            images=self.host.containerd.images,
            network=self.host.network,
            names=self.names,
            clock=self.time,
        )
        self.running = asyncio.create_task(self.agent.run())

    async def stop(self) -> None:
        """End the agent as kill does: at once; instances run on."""
        if self.running is not None:
            self.running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.running
            self.running = None
            await self.names.close()

    async def pod(self, spec: dict[str, Any], *, name: str = "one", bound: bool = True, ip: str = "") -> pods.Pod:
        """Create a Pod that is bound to the node and has an address."""
        address = ip or f"{PREFIX}.{next(_numbers)}"
        # As the ledger would: nobody's address is taken on his own word.
        held = addresses.AddressSpec(pool="default", namespace="default", instance=name, reserved=True)
        with contextlib.suppress(errors.AlreadyExists):
            await self.api.admin.create(addresses.Address(metadata=meta.ObjectMeta(name=address), spec=held))
        spec = {"terminationGracePeriodSeconds": 5, "nodeName": server.NODE if bound else "", **spec}
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            container.setdefault("image", image.NAME)
        body = {
            "metadata": {
                "name": name,
                "namespace": "default",
                "annotations": {"boxfleet.dev/address": address},
            },
            "spec": spec,
        }
        return await self.api.admin.create_raw(pods.Pod, body)

    async def get(self, name: str = "one") -> pods.Pod:
        """A Pod as the API shows it."""
        return await self.api.admin.get(pods.Pod, name, namespace="default")

    async def until(self, test: Callable[[pods.Pod], object], *, name: str = "one", seconds: float = 60.0) -> pods.Pod:
        """Wait until a Pod is so; fails with its status."""
        deadline = time.monotonic() + seconds
        while True:
            pod = await self.get(name)
            if test(pod):
                return pod
            assert time.monotonic() < deadline, f"not reached: {meta.to_dict(pod.status)}"
            await asyncio.sleep(0.01)

    async def ready(self, name: str = "one", *, seconds: float = 60.0) -> pods.Pod:
        """Wait until a Pod is Ready."""
        return await self.until(is_ready, name=name, seconds=seconds)

    async def gone(self, name: str = "one", *, seconds: float = 60.0) -> None:
        """Wait until a Pod is gone from the API."""
        deadline = time.monotonic() + seconds
        while await self.api.admin.find(pods.Pod, name, namespace="default") is not None:
            assert time.monotonic() < deadline, "the pod is still there"
            await asyncio.sleep(0.01)

    async def run(self, pod: pods.Pod, *command: str, container: str = "main") -> str:
        """What a command in a container says."""
        status = next(one for one in pod.status.containerStatuses if one.name == container)
        engine_id = status.containerID.partition("://")[2]
        result = await self.host.containerd.runtime.exec_sync(engine_id, list(command), timeout=10)
        return (result.stdout + result.stderr).decode()

    async def clear(self) -> None:
        """Delete all Pods and wait until the agent has let go of them."""
        if self.running is None or self.running.done():
            self.start()
        for pod in (await self.api.admin.list(pods.Pod)).items:
            with contextlib.suppress(Exception):
                await self.api.admin.delete(pods.Pod, pod.metadata.name, namespace="default", grace_seconds=1)
        deadline = time.monotonic() + 30
        while (await self.api.admin.list(pods.Pod)).items or self.agent._workers:
            assert time.monotonic() < deadline, "pods are left"
            await asyncio.sleep(0.02)


def is_ready(pod: pods.Pod) -> bool:
    """Whether a Pod is Ready."""
    return meta.is_true(pod.status.conditions, "Ready")


@contextlib.asynccontextmanager
async def bed(shared: Host, folder: pathlib.Path, **options: Any) -> AsyncIterator[Bed]:
    """An API and an agent on a host."""
    async with server.running(folder, names=["127.0.0.1", GATEWAY]) as api:
        for name in ("default", "kube-node-lease"):
            with contextlib.suppress(Exception):
                await api.admin.create(namespace.Namespace(metadata=meta.ObjectMeta(name=name)))
        # No controller makes it here; Pods that want a token take another account.
        await api.admin.create(
            service_account.ServiceAccount(
                metadata=meta.ObjectMeta(name="default", namespace="default"), automountServiceAccountToken=False
            )
        )
        pool = address_pool.AddressPool(
            metadata=meta.ObjectMeta(name="default"),
            spec=address_pool.AddressPoolSpec(cidr=f"{PREFIX}.0/24", bridge=BRIDGE),
        )
        await api.admin.create(pool)
        made = Bed(host=shared, api=api, state=folder, options=options)
        made.start()
        try:
            yield made
            await made.clear()
        finally:
            await made.stop()
            await made.names.stop()
