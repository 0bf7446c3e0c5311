"""Brings every instance of the engine to what is wanted: a step at a time, from what is there, never from memory."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import msgspec
import structlog

from boxfleet.api import pod as pods
from boxfleet.drivers.docker import (
    archives,
    asking,
    connection,
    content,
    deciding,
    ending,
    faults,
    given,
    images,
    marks,
    model,
    pieces,
    place,
    probes,
    status,
    view,
    volumes,
)
from boxfleet.kit import backoff, ids, tasks, workqueue
from boxfleet.kit import clock as clocks
from boxfleet.planning import pod_volumes
from boxfleet.ports import cluster

log = structlog.get_logger()

_WORKERS: Final = 16
# A step brings the next one; more than this in a row is a circle.
_STEPS: Final = 200
_RETRY: Final = backoff.Backoff(initial=2.0, limit=300.0)
# Kubernetes gives a postStart hook no time limit; this one (seconds) keeps a lost connection from hanging for ever.
_POST_START: Final = 3600.0


class Keeper:
    """`told` hears of an instance about which something changed that its containers do not show.

    `address` is where an instance can be spoken to.
    """

    def __init__(
        self,
        link: connection.Connection,
        wish: place.Wish,
        *,
        clock: clocks.Clock,
        told: Callable[[marks.Instance], None],
        address: Callable[[marks.Instance], str],
    ) -> None:
        self._link = link
        self._wish = wish
        self._clock = clock
        self._told = told
        self._address = address
        self._began = clock.now()
        self._engine: given.Engine | None = None
        self._asking = asyncio.Lock()
        self._queue: workqueue.WorkQueue[marks.Instance] = workqueue.WorkQueue()
        self._locks: dict[marks.Instance, asyncio.Lock] = {}
        self._failures: dict[marks.Instance, int] = {}
        self._not_before: dict[marks.Instance, float] = {}
        self._renewed: dict[marks.Instance, str] = {}
        self._hooked: set[tuple[str, str]] = set()
        # Fingerprints of what volumes and containers were given.
        self._written: dict[marks.Instance, str] = {}
        self._copied: dict[str, str] = {}
        self._incarnations: dict[marks.Instance, str] = {}
        self.wanted: dict[marks.Instance, given.Given] = {}
        # Instances that are on their way out, with the seconds that they have; None: their Pod's own.
        self.leaving: dict[marks.Instance, int | None] = {}
        self.holds: dict[marks.Instance, dict[str, status.Hold]] = {}
        # Restarts by probes, which the engine does not count.
        self.restarts: dict[str, int] = {}
        self.probes = probes.Probes(link, clock=clock, changed=self._probed)
        self._owners: dict[str, marks.Instance] = {}

    async def engine(self) -> given.Engine:
        """What the engine is. Raises ClusterFaults."""
        async with self._asking:
            if self._engine is None:
                self._engine = await place.look(self._link, self._wish)
            return self._engine

    @property
    def known_engine(self) -> given.Engine | None:
        """What the engine was when it was asked; None before."""
        return self._engine

    def forget_engine(self) -> None:
        """Ask anew what it is."""
        self._engine = None

    async def run(self) -> None:
        """Work until cancelled."""
        await self._queue.run(self._work, failed=self._failed, workers=_WORKERS)

    def rest(self) -> None:
        """Look at nothing until `observe` is called again."""
        self.probes.pause()

    def look(self, instance: marks.Instance) -> None:
        """Something happened to an instance."""
        if instance in self.wanted or instance in self.leaving:
            self._queue.add(instance)

    def observe(self, one: model.Container, group: asyncio.TaskGroup) -> None:
        """Let probes and hooks follow a container as it is now."""
        wanted = self.wanted.get(one.mark.instance)
        container = wanted.pod.spec.find_container(one.mark.container) if wanted is not None else None
        running = one.state.status == "running" and one.mark.role in ("main", "sidecar")
        if wanted is None or container is None or not running or one.mark.uid != wanted.pod.metadata.uid:
            self.probes.forget(one.id)
            return
        self._owners[one.id] = one.mark.instance
        began = model.moment(one.state.started_at)
        old = began is not None and began < self._began
        subject = probes.Subject(
            id=one.id, started_at=one.state.started_at, ip=self._address(one.mark.instance), container=container
        )
        self.probes.follow(subject, group=group, known_well=old)
        run = (one.id, one.state.started_at)
        hook = container.lifecycle.postStart if container.lifecycle is not None else None
        if hook is not None and run not in self._hooked:
            self._hooked.add(run)
            if not old:
                group.create_task(self._post_start(one, container, hook))

    def forget(self, one: model.Container) -> None:
        """A container is gone."""
        self.probes.forget(one.id)
        self.restarts.pop(one.id, None)
        self._owners.pop(one.id, None)
        self._copied.pop(one.id, None)
        self._hooked = {run for run in self._hooked if run[0] != one.id}

    def want(self, instance: marks.Instance, wanted: given.Given) -> None:
        """From now on an instance is wanted so."""
        self.wanted[instance] = wanted
        self.leaving.pop(instance, None)
        self._not_before.pop(instance, None)
        self._failures.pop(instance, None)

    def unwant(self, instance: marks.Instance, *, grace: int | None) -> None:
        """From now on an instance is not wanted."""
        self.wanted.pop(instance, None)
        self.holds.pop(instance, None)
        self.leaving[instance] = grace
        self._not_before.pop(instance, None)
        self._queue.add(instance)

    def renew(self, instance: marks.Instance, incarnation: str) -> None:
        """End one incarnation, and make the next."""
        self._renewed[instance] = incarnation
        self._not_before.pop(instance, None)
        self._queue.add(instance)

    async def advance(self, instance: marks.Instance, *, patient: bool) -> None:
        """Take all steps that can be taken now. Raises ClusterFaults.

        What takes long (a pull, a stop) is left to `run` unless `patient`.
        """
        lock = self._locks.setdefault(instance, asyncio.Lock())
        if not patient and lock.locked():
            self._queue.add(instance)
            return
        async with lock:
            try:
                if not await self._advance(instance, patient=patient):
                    self._queue.add(instance)
            except images.Held:
                # Its wait is in the status; the time until the next try is `run`'s to keep.
                self._queue.add(instance)
        if instance not in self.wanted and instance not in self.leaving:
            self._locks.pop(instance, None)

    async def _work(self, instance: marks.Instance) -> float | None:
        left = self._not_before.get(instance, 0.0) - self._clock.monotonic()
        if left > 0:
            return left
        async with self._locks.setdefault(instance, asyncio.Lock()):
            try:
                await self._advance(instance, patient=True)
            except images.Held:
                failures = self._failures[instance] = self._failures.get(instance, 0) + 1
                delay = _RETRY.delay(failures=failures)
                self._not_before[instance] = self._clock.monotonic() + delay
                return delay
        self._failures.pop(instance, None)
        return None

    def _failed(self, instance: marks.Instance, error: Exception) -> None:
        if not isinstance(error, cluster.ClusterFault):
            log.error("cannot bring an instance forward", instance=instance.name, exc_info=error)
        elif not isinstance(error, cluster.Unreachable):
            log.warning("cannot bring an instance forward", instance=instance.name, cause=str(error))

    async def _advance(self, instance: marks.Instance, *, patient: bool) -> bool:
        """Whether all is done that can be done now."""
        engine = await self.engine()
        for _ in range(_STEPS):
            made = await view.made_for(self._link, engine.fleet, instance)
            wanted = self.wanted.get(instance)
            step = deciding.step(
                wanted, engine, made, renew=self._renewed.get(instance, ""), is_started=self._is_started
            )
            if isinstance(step, deciding.Rest):
                self._renewed.pop(instance, None)
                if wanted is None:
                    self.leaving.pop(instance, None)
                    self._written.pop(instance, None)
                elif made and not any(one.mark.role == "files" for one in made):
                    await self._refresh(wanted, engine, made)
                    await self._restart_sick(made)
                return True
            if isinstance(step, deciding.Leave | deciding.Halt):
                if not patient:
                    return False
                await self._leave(instance, step, wanted)
                continue
            assert wanted is not None
            if isinstance(step, deciding.Make):
                if step.role != "network" and not patient and not await self._has_image(wanted, step.name):
                    return False
                await self._holding(wanted, step.name, self._make(wanted, engine, made, step))
            else:
                name = step.container.mark.container
                await self._holding(wanted, name, self._start(wanted, engine, step.container, made))
        raise cluster.ClusterFault(f"cannot bring {instance.name} to what is wanted: it changes all the time")

    async def _has_image(self, wanted: given.Given, name: str) -> bool:
        container = wanted.pod.spec.find_container(name)
        assert container is not None
        return container.imagePullPolicy != "Always" and await images.is_there(self._link, container.image)

    async def _holding(self, wanted: given.Given, name: str, work: Awaitable[None]) -> None:
        """Do it, and keep why it did not go for the status. Raises `images.Held` and Unreachable."""
        instance = _instance(wanted)
        holds = self.holds.setdefault(instance, {})
        try:
            await work
        except images.Held as held:
            hold = held.hold
            if hold.reason == "ErrImagePull" and name in holds:
                hold = status.Hold(reason="ImagePullBackOff", message=hold.message)
            holds[name] = hold
            self._told(instance)
            raise
        if holds.pop(name, None) is not None:
            self._told(instance)

    async def _make(
        self, wanted: given.Given, engine: given.Engine, made: Iterable[model.Container], step: deciding.Make
    ) -> None:
        known = next((one.mark.incarnation for one in made if one.mark.incarnation), "")
        incarnation = known or self._incarnations.pop(_instance(wanted), "") or ids.new_uid()
        if step.role == "network":
            await images.ensure_pause(self._link, engine.architecture)
            await self._create(pieces.holder(wanted, engine, incarnation=incarnation))
            return
        container = wanted.pod.spec.find_container(step.name)
        assert container is not None
        await images.ensure(self._link, wanted.pod, container, wanted.secrets)
        holder = next((one for one in made if one.mark.role == "network"), None)
        try:
            ip = self._known_address(wanted, engine, holder)
            wish = pieces.piece(
                wanted,
                engine,
                container,
                step.role,
                incarnation=incarnation,
                holder_id=holder.id if holder is not None else "",
                pod_ip=ip,
            )
            await self._write(wanted, engine, image=container.image, pod_ip=ip)
        except pod_volumes.Missing as error:
            raise images.Held(status.Hold(reason="CreateContainerConfigError", message=str(error))) from None
        except cluster.Unreachable:
            raise
        except cluster.ClusterFault as error:
            raise images.Held(status.Hold(reason="CreateContainerError", message=str(error))) from None
        await self._create(wish)

    async def _create(self, wish: pieces.Piece) -> None:
        try:
            await self._link.call("POST", "/containers/create", params={"name": wish.name}, body=wish.body)
        except cluster.Unreachable:
            raise
        except faults.Conflict as error:
            # Another server of the same fleet was faster; whoever else has the name keeps it.
            if not await self._is_ours(wish.name):
                raise images.Held(status.Hold(reason="CreateContainerError", message=str(error))) from None
        except cluster.ClusterFault as error:
            if isinstance(error, faults.NotFound):
                # Its network may have been taken away.
                self.forget_engine()
            raise images.Held(status.Hold(reason="CreateContainerError", message=str(error))) from None

    async def _is_ours(self, name: str) -> bool:
        try:
            found = model.read(await self._link.call("GET", f"/containers/{name}/json"))
        except faults.NotFound:
            return True
        return found.labels.get(marks.FLEET) == self._wish.fleet

    async def _start(
        self,
        wanted: given.Given,
        engine: given.Engine,
        one: model.Container,
        made: Iterable[model.Container],
    ) -> None:
        container = wanted.pod.spec.find_container(one.mark.container)
        try:
            if container is not None and not one.was_started:
                holder = next((each for each in made if each.mark.role == "network"), None)
                ip = self._known_address(wanted, engine, holder)
                files = volumes.copied(container, wanted, engine, pod_ip=ip)
                if files:
                    await content.put(self._link, one.id, "/", archives.pack(files))
            await self._link.call("POST", f"/containers/{one.id}/start")
        except pod_volumes.Missing as error:
            raise images.Held(status.Hold(reason="CreateContainerConfigError", message=str(error))) from None
        except cluster.Unreachable:
            raise
        except cluster.ClusterFault as error:
            raise images.Held(status.Hold(reason="RunContainerError", message=str(error))) from None

    async def _write(self, wanted: given.Given, engine: given.Engine, *, image: str, pod_ip: str) -> None:
        """Have the volumes with what is in them, once for each state of what they hold."""
        instance = _instance(wanted)
        plan = volumes.plan(wanted, engine, pod_ip=pod_ip)
        digest = ids.fingerprint([wanted.pod.metadata.uid, msgspec.to_builtins(plan)], length=64)
        if self._written.get(instance) == digest:
            return
        await content.write(
            self._link,
            plan,
            name=marks.container_name(wanted.pod, "files") + "_",
            labels=marks.of_instance(engine.fleet, wanted.share, wanted.ordinal, wanted.pod),
            image=image,
        )
        self._written[instance] = digest

    async def _refresh(self, wanted: given.Given, engine: given.Engine, made: Iterable[model.Container]) -> None:
        """Write files that changed while the instance runs; what is missing for them leaves them as they are."""
        there = [one for one in made if one.mark.role != "network"]
        if not there:
            return
        holder = next((one for one in made if one.mark.role == "network"), None)
        address = self._known_address(wanted, engine, holder)
        with contextlib.suppress(pod_volumes.Missing):
            await self._write(wanted, engine, image=there[0].image, pod_ip=address)
            for one in there:
                container = wanted.pod.spec.find_container(one.mark.container)
                if container is None or one.state.status != "running":
                    continue
                files = volumes.copied(container, wanted, engine, pod_ip=address)
                digest = ids.fingerprint(msgspec.to_builtins(files), length=64)
                if files and self._copied.get(one.id) != digest:
                    await content.put_changed(self._link, one.id, files)
                    self._copied[one.id] = digest

    async def _leave(
        self, instance: marks.Instance, step: deciding.Leave | deciding.Halt, wanted: given.Given | None
    ) -> None:
        grace = self.leaving.get(instance) if wanted is None or instance in self.leaving else None
        if grace is None and wanted is not None:
            grace = wanted.share.grace.get(instance.name)
        ip = self._address(instance)
        for roles in (("main", "init"), ("sidecar",)):
            some = [one for one in step.containers if one.mark.role in roles]
            stops = (ending.stop(self._link, one, ip=ip, grace=grace) for one in some)
            await tasks.gather(stops, limit=len(some) or 1)
        for one in step.containers:
            if one.mark.role == "network" and isinstance(step, deciding.Halt):
                await ending.kill(self._link, one)
        if isinstance(step, deciding.Halt):
            return
        for one in sorted(step.containers, key=lambda each: each.mark.role == "network"):
            await content.remove(self._link, one.id)
        if not step.whole:
            # Who comes in their place belongs to the same life of the instance.
            self._incarnations[instance] = step.containers[0].mark.incarnation
        if step.whole:
            for uid in {one.mark.uid for one in step.containers}:
                await ending.remove_volumes(self._link, marks.filters(self._wish.fleet, uid=uid))
            self._written.pop(instance, None)

    async def _post_start(self, one: model.Container, container: pods.Container, hook: pods.LifecycleHandler) -> None:
        try:
            answer = await asking.ask(
                self._link, one.id, container, hook, ip=self._address(one.mark.instance), seconds=_POST_START
            )
            if not answer.success:
                log.warning("postStart hook failed", container=one.name, cause=answer.message)
                await ending.restart(self._link, one, grace=None)
                self.restarts[one.id] = self.restarts.get(one.id, 0) + 1
        except cluster.ClusterFault as error:
            log.warning("cannot run a postStart hook", container=one.name, cause=str(error))

    async def _restart_sick(self, made: Iterable[model.Container]) -> None:
        """Start containers anew whose probes say that it must be."""
        for one in made:
            check = self.probes.check(one.id)
            if check is not None and check.failed and one.state.status == "running":
                log.info("restarting a container", container=one.name, cause=check.failed)
                self.probes.forget(one.id)
                self.restarts[one.id] = self.restarts.get(one.id, 0) + 1
                await ending.restart(self._link, one, grace=check.grace)

    def _probed(self, container_id: str) -> None:
        owner = self._owners.get(container_id)
        if owner is not None:
            self._told(owner)
            self._queue.add(owner)

    def _is_started(self, one: model.Container) -> bool:
        check = self.probes.check(one.id)
        return check is not None and check.started

    def _known_address(self, wanted: given.Given, engine: given.Engine, holder: model.Container | None) -> str:
        if holder is not None:
            return holder.ip
        return wanted.address if engine.subnets else ""


def _instance(wanted: given.Given) -> marks.Instance:
    return marks.Instance(namespace=wanted.share.namespace, name=wanted.pod.metadata.name)
