"""What is there: a copy of the runtime's sandboxes and containers, kept true by events and a slow relist."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import TypeVar

import structlog

from boxfleet.kit import clock as clocks
from boxfleet.planning import marks
from boxfleet.ports import runtime

log = structlog.get_logger()

Status = TypeVar("Status", runtime.SandboxStatus, runtime.ContainerStatus)

# The engine tells of an end a moment before its own books show it: look again until they do (seconds).
_SETTLE = (0.0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


class Observer:
    """Sandboxes and containers by id; tells a listener the uid of the Pod that changed."""

    def __init__(self, engine: runtime.Runtime, *, clock: clocks.Clock, relist: float) -> None:
        self._engine = engine
        self._clock = clock
        self._relist_seconds = relist
        self._relist_now = asyncio.Event()
        self._touched: dict[str, int] = {}
        self._step = 0
        self._listener: Callable[[str], None] = lambda _uid: None
        self._fault_listener: Callable[[], None] = lambda: None
        self.sandboxes: dict[str, runtime.SandboxStatus] = {}
        self.containers: dict[str, runtime.ContainerStatus] = {}
        # The same by the Pod's uid: each Pod looks at its own again and again.
        self._pod_sandboxes: dict[str, dict[str, runtime.SandboxStatus]] = {}
        self._pod_containers: dict[str, dict[str, runtime.ContainerStatus]] = {}
        self.synced = asyncio.Event()
        # Why the runtime does not answer; empty while it does.
        self.fault = "not asked yet"

    def listen(self, listener: Callable[[str], None]) -> None:
        """Hear the uid of every Pod whose sandbox or container changed."""
        self._listener = listener

    def listen_fault(self, listener: Callable[[], None]) -> None:
        """Hear when the runtime goes away or comes back, or is away for another reason."""
        self._fault_listener = listener

    def sandboxes_of(self, uid: str) -> list[runtime.SandboxStatus]:
        """A Pod's sandboxes, also dead ones."""
        return list(self._pod_sandboxes.get(uid, {}).values())

    def holder_of(self, address: str, *, besides: str) -> str:
        """Namespace and name of another Pod than the one of that uid whose sandbox has an address; empty if none."""
        for one in self.sandboxes.values():
            if one.ip == address and one.uid != besides:
                return f"{one.namespace}/{one.name}"
        return ""

    def containers_of(self, uid: str) -> list[runtime.ContainerStatus]:
        """A Pod's containers, also ended ones."""
        return list(self._pod_containers.get(uid, {}).values())

    async def run(self) -> None:
        """Keep the copy true until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._relist_forever())

    async def see_container(self, container_id: str, *, ended: bool = False) -> runtime.ContainerStatus | None:
        """Look at one container now. `ended`: its end was told, so wait until it shows."""
        for pause in _SETTLE if ended else _SETTLE[:1]:
            if pause:
                await self._clock.sleep(pause)
            try:
                status = await self._engine.container_status(container_id)
            except runtime.NotFound:
                self._put_container(container_id, None)
                return None
            if not ended or status.state is not runtime.State.RUNNING:
                break
        self._put_container(container_id, status)
        return status

    async def see_sandbox(self, sandbox_id: str, *, ended: bool = False) -> runtime.SandboxStatus | None:
        """Look at one sandbox now."""
        for pause in _SETTLE if ended else _SETTLE[:1]:
            if pause:
                await self._clock.sleep(pause)
            try:
                status = await self._engine.sandbox_status(sandbox_id)
            except runtime.NotFound:
                self.drop_sandbox(sandbox_id)
                return None
            if not ended or not status.ready:
                break
        self._put_sandbox(sandbox_id, status)
        return status

    def drop_container(self, container_id: str) -> None:
        """A container was removed."""
        self._put_container(container_id, None)

    def drop_sandbox(self, sandbox_id: str) -> None:
        """A sandbox was removed with its containers."""
        for container in [one for one in self.containers.values() if one.sandbox_id == sandbox_id]:
            self._put_container(container.id, None)
        self._put_sandbox(sandbox_id, None)

    async def relist(self) -> None:
        """Look at everything; raises RuntimeFault while the runtime is down."""
        began = self._step
        try:
            sandboxes = await self._engine.list_sandboxes()
            containers = await self._engine.list_containers()
        except runtime.RuntimeFault as error:
            self._set_fault(str(error))
            raise
        self._set_fault("")
        # What was touched since the lists were asked for is newer than they are.
        for container_id in self._gone(self.containers, {one.id for one in containers}, began):
            self._put_container(container_id, None)
        for sandbox_id in self._gone(self.sandboxes, {one.id for one in sandboxes}, began):
            self._put_sandbox(sandbox_id, None)
        for sandbox in sandboxes:
            known = self.sandboxes.get(sandbox.id)
            if known is None or known.ready != sandbox.ready:
                await self.see_sandbox(sandbox.id)
        for container in containers:
            seen = self.containers.get(container.id)
            if seen is None or seen.state is not container.state:
                await self.see_container(container.id)
        self.synced.set()

    def _gone(self, known: Iterable[str], listed: set[str], began: int) -> list[str]:
        return [one for one in known if one not in listed and self._touched.get(one, 0) <= began]

    def _set_fault(self, fault: str) -> None:
        changed = fault != self.fault
        self.fault = fault
        if changed:
            self._fault_listener()

    async def _relist_forever(self) -> None:
        while True:
            self._relist_now.clear()
            try:
                await self.relist()
            except runtime.RuntimeFault as error:
                log.info("cannot look at the runtime", cause=str(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._relist_seconds if not self.fault else 1.0):
                    await self._relist_now.wait()

    async def _follow(self) -> None:
        while True:
            try:
                async for event in self._engine.events():
                    if event.kind is runtime.EventKind.RESYNC:
                        self._relist_now.set()
                    elif event.kind is runtime.EventKind.EXITED:
                        await self._ended(event.container_id)
            except runtime.RuntimeFault as error:
                log.info("the runtime's events broke off", cause=str(error))
            await self._clock.sleep(0.5)

    async def _ended(self, engine_id: str) -> None:
        try:
            if engine_id in self.sandboxes:
                await self.see_sandbox(engine_id, ended=True)
            elif engine_id in self.containers:
                await self.see_container(engine_id, ended=True)
        except runtime.RuntimeFault:
            self._relist_now.set()

    def _put_container(self, container_id: str, new: runtime.ContainerStatus | None) -> None:
        old = self.containers.pop(container_id, None)
        known = new or old
        uid = known.labels.get(marks.POD_UID, "") if known is not None else ""
        if new is not None:
            self.containers[container_id] = new
        _keep(self._pod_containers, uid, container_id, new)
        self._changed(container_id, old, new, uid)

    def _put_sandbox(self, sandbox_id: str, new: runtime.SandboxStatus | None) -> None:
        old = self.sandboxes.pop(sandbox_id, None)
        known = new or old
        uid = known.uid if known is not None else ""
        if new is not None:
            self.sandboxes[sandbox_id] = new
        _keep(self._pod_sandboxes, uid, sandbox_id, new)
        self._changed(sandbox_id, old, new, uid)

    def _changed(self, engine_id: str, old: object, new: object, uid: str) -> None:
        self._step += 1
        if new is None:
            self._touched.pop(engine_id, None)
        else:
            self._touched[engine_id] = self._step
        if uid and old != new:
            self._listener(uid)


def _keep(by_pod: dict[str, dict[str, Status]], uid: str, engine_id: str, new: Status | None) -> None:
    """Put one thing of a Pod last in order, or take it away."""
    own = by_pod.setdefault(uid, {})
    own.pop(engine_id, None)
    if new is not None:
        own[engine_id] = new
    if not own:
        del by_pod[uid]
