"""The agent of one host: a worker per Pod, and the parts that they share."""

import asyncio
import pathlib
from collections.abc import Awaitable, Callable, Iterable

import structlog

from boxfleet.agent import (
    claims,
    fencing,
    housekeeping,
    network,
    observer,
    parts,
    pulls,
    sources,
    status,
    wanted,
    worker,
)
from boxfleet.agent import settings as agent_settings
from boxfleet.agent.node import cgroups, describer, facts, keeper, shedding, vitals
from boxfleet.agent.volumes import manager
from boxfleet.api import meta
from boxfleet.api import pod as pods
from boxfleet.client import cache, client, events
from boxfleet.kit import clock as clocks
from boxfleet.kit import supervise
from boxfleet.planning import takeover
from boxfleet.ports import network as network_ports
from boxfleet.ports import runtime as runtime_ports

log = structlog.get_logger()


class Agent:
    """Runs what the API binds to its node, as long as `run` runs. Instances run on when it ends."""

    def __init__(
        self,
        settings: agent_settings.Settings,
        *,
        api: client.Client,
        engine: runtime_ports.Runtime,
        images: runtime_ports.Images,
        network: network_ports.HostNetwork,
        names: network_ports.NameServer,
        clock: clocks.Clock,
        version: str = "",
        restarts: Callable[[], Iterable[float]] = tuple,
        nobody: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        """`nobody` says whether it is sure that no server runs, so that none makes instances elsewhere."""
        state = pathlib.Path(settings.state)
        for folder in (state, state / "pods", state / "volumes", pathlib.Path(settings.logs)):
            folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        self._settings = settings
        self._api = api
        self._engine = engine
        self._images = images
        self._host_network = network
        self._names = names
        self._clock = clock
        self._version = version
        # When the engine had to be started again, by the clock that never goes back.
        self._restarts = restarts
        self._nobody = nobody
        self._workers: dict[str, worker.PodWorker] = {}
        self._ending: dict[meta.Key, asyncio.Event] = {}

    async def run(self) -> None:
        """Do a kubelet's work until cancelled."""
        settings, state = self._settings, pathlib.Path(self._settings.state)
        self.pods = cache.Cache(self._api, pods.Pod, fields=f"spec.nodeName={settings.node}")
        self._workers.clear()
        self._ending.clear()
        machine = await asyncio.to_thread(
            facts.detect, settings, runtime_version=await self._runtime_version(), version=self._version
        )
        await asyncio.to_thread(
            cgroups.enforce,
            pathlib.Path(settings.cgroup_root),
            settings.cgroup_parent,
            cpu=machine.cpu_for_pods,
            memory=machine.memory_for_pods,
        )
        self._fence = fencing.Fence(
            folder=settings.fence,
            memory=state / "fence",
            cgroup_parent=settings.cgroup_parent,
            kept=self._kept,
            resync=self._resync,
            opened=self._look_at_all,
        )
        claim_keeper = claims.Claims(self._api, root=state / "volumes", node=settings.node, in_use=self._uses_claim)
        self._parts = parts.Parts(
            settings=settings,
            api=self._api,
            engine=self._engine,
            host_network=self._host_network,
            clock=self._clock,
            wanted=wanted.Wanted(state / "pods"),
            observer=observer.Observer(self._engine, clock=self._clock, relist=settings.relist),
            sources=sources.Sources(self._api, clock=self._clock),
            claims=claim_keeper,
            fence=self._fence,
            volumes=manager.Volumes(state / "pods", claim_folder=claim_keeper.folder),
            pulls=pulls.Pulls(
                self._images, clock=self._clock, at_once=settings.pulls, local=settings.image_keep_prefix
            ),
            network=network.Upkeep(
                self._api,
                self._host_network,
                self._names,
                clock=self._clock,
                domain=settings.domain,
                node=settings.node,
                gateway=settings.gateway,
                memory=state / "pools.json",
                api_host=settings.api_host,
                check=settings.node_check,
            ),
            reporter=status.Reporter(self._api),
            recorder=events.Recorder(self._api, component="agent", clock=self._clock, host=settings.node),
            starts=asyncio.Semaphore(settings.starts),
            machine=machine,
            host_resolver=facts.host_resolver(),
        )
        given = self._parts
        measuring = vitals.Vitals(
            self._api,
            self._engine,
            settings=settings,
            machine=machine,
            clock=self._clock,
            restarts=self._restarts,
            faults=lambda: describing.faults,
        )
        self._keeper = keeper.Keeper(
            self._api,
            self._images,
            settings=settings,
            machine=machine,
            vitals=measuring,
            clock=self._clock,
            trouble=self._trouble,
            offers=lambda: describing.offers(),
            fence=self._fence,
            nobody=self._nobody,
            returned=given.reporter.again,
        )
        describing = describer.Describer(self._api, settings=settings, clock=self._clock, changed=self._keeper.look)
        keeping = housekeeping.Housekeeping(given, self._images, pods_here=self._wanted_pods)
        making_room = shedding.Shedding(
            given,
            measuring,
            workers=lambda: list(self._workers.values()),
            relieve=keeping.relieve,
            tell=self._keeper.look,
        )
        given.observer.listen(self._engine_changed)
        given.sources.listen(self._sources_changed)
        claim_keeper.listen(self._sources_changed)
        self.pods.listen(self._pod_changed)
        given.observer.listen_fault(self._keeper.look)
        given.network.listen(self._keeper.look)
        records = await asyncio.to_thread(given.wanted.load)
        async with asyncio.TaskGroup() as group:
            self._group = group
            for name, part in {
                "observer": given.observer.run,
                "sources": given.sources.run,
                "claims": given.claims.run,
                "pulls": given.pulls.run,
                "network": given.network.run,
                "reporter": given.reporter.run,
                "events": given.recorder.run,
                "node": self._keeper.run,
                "facts": describing.run,
                "vitals": measuring.run,
                "housekeeping": keeping.run,
                "shedding": making_room.run,
            }.items():
                group.create_task(supervise.keep_running(name, part, clock=self._clock))
            # Yield once, so that the parts that others start tasks in have their task groups.
            await asyncio.sleep(0)
            # What is wanted is known from disk before anything may be taken for left over or deleted.
            # Of two Pods with one name the older one must end before the newer one begins.
            for record in sorted(records, key=lambda one: one.pod.metadata.creationTimestamp):
                self._begin(record)
            for name, part in {
                "pods": self.pods.run,
                "absent pods": self._end_absent,
                "leftovers": self._clear_leftovers,
            }.items():
                group.create_task(supervise.keep_running(name, part, clock=self._clock))

    def _begin(self, record: wanted.Record) -> None:
        key, uid = record.pod.key, record.pod.metadata.uid
        fresh = worker.PodWorker(self._parts, record, predecessor=self._ending.get(key))
        self._workers[uid] = fresh
        self._ending[key] = fresh.stopped
        self._parts.sources.keep({one.pod.metadata.namespace for one in self._workers.values()})
        self._group.create_task(self._look_after(fresh))

    async def _look_after(self, one: worker.PodWorker) -> None:
        await supervise.keep_running(f"pod {one.pod.key}", one.run, clock=self._clock)
        uid, key = one.uid, one.pod.key
        self._workers.pop(uid, None)
        if self._ending.get(key) is one.stopped:
            del self._ending[key]
        self._parts.claims.released(key.namespace, one.needs.claims)
        self._parts.sources.keep({other.pod.metadata.namespace for other in self._workers.values()})

    def _pod_changed(self, old: pods.Pod | None, new: pods.Pod | None) -> None:
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            gone = self._workers.get(old.metadata.uid)
            if gone is not None:
                gone.deleted()
        if new is None:
            return
        known = self._workers.get(new.metadata.uid)
        if known is not None:
            known.update(new)
        else:
            self._begin(wanted.Record(pod=new))

    async def _end_absent(self) -> None:
        """Pods that were deleted at the server while this agent was away are stopped, once the server says so."""
        await self.pods.synced.wait()
        here = {pod.metadata.uid for pod in self.pods}
        for one in list(self._workers.values()):
            if one.uid not in here:
                one.deleted()

    async def _resync(self) -> None:
        """What the server has taken from this host while nothing was heard of it is not begun again."""
        listing = await self._api.list(pods.Pod, fields=f"spec.nodeName={self._settings.node}")
        here = {pod.metadata.uid for pod in listing.items}
        for one in list(self._workers.values()):
            if one.uid not in here:
                one.deleted()

    def _kept(self) -> list[str]:
        """The containers of instances that are never made elsewhere."""
        observer = self._parts.observer
        found = []
        for one in self._workers.values():
            if takeover.stays(one.pod):
                found += [each.id for each in observer.sandboxes_of(one.uid)]
                found += [each.id for each in observer.containers_of(one.uid)]
        return found

    def _look_at_all(self) -> None:
        for one in self._workers.values():
            one.look()

    def leave(self) -> None:
        """This host is no Node any more: stop what runs here, and tell nobody."""
        for one in self._workers.values():
            one.deleted()

    async def _clear_leftovers(self) -> None:
        """Sandboxes and folders of Pods that nobody wants: an agent was killed while it cleared them away."""
        given = self._parts
        await given.observer.synced.wait()
        while True:
            for sandbox in list(given.observer.sandboxes.values()):
                if sandbox.uid in self._workers:
                    continue
                try:
                    await self._engine.stop_sandbox(sandbox.id)
                    await self._engine.remove_sandbox(sandbox.id)
                    given.observer.drop_sandbox(sandbox.id)
                except runtime_ports.RuntimeFault as error:
                    log.info("cannot remove a sandbox that nobody wants", sandbox=sandbox.id, cause=str(error))
            for uid in await asyncio.to_thread(given.volumes.known):
                if uid not in self._workers and not given.observer.sandboxes_of(uid):
                    try:
                        await asyncio.to_thread(given.volumes.release, uid)
                    except OSError as error:
                        log.warning("cannot remove the folder of a pod", uid=uid, cause=str(error))
            await self._clock.sleep(self._settings.cleanup)

    def _engine_changed(self, uid: str) -> None:
        one = self._workers.get(uid)
        if one is not None:
            if takeover.stays(one.pod):
                self._fence.note()
            one.look()

    def _sources_changed(self, namespace: str) -> None:
        for one in self._workers.values():
            if one.pod.metadata.namespace == namespace:
                one.sources_changed()

    def _uses_claim(self, key: meta.Key) -> bool:
        return any(
            one.pod.metadata.namespace == key.namespace and key.name in one.needs.claims
            for one in self._workers.values()
        )

    def _wanted_pods(self) -> list[pods.Pod]:
        return [one.pod for one in self._workers.values()]

    def _trouble(self) -> tuple[str, str] | None:
        if self._parts.observer.fault:
            return "RuntimeDown", f"the container runtime does not answer: {self._parts.observer.fault}"
        if self._parts.network.fault:
            return "NetworkNotReady", self._parts.network.fault
        return None

    async def _runtime_version(self) -> str:
        try:
            return await self._engine.version()
        except runtime_ports.RuntimeFault:
            return ""
