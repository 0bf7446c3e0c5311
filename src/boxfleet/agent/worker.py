"""One task per Pod: looks, decides, acts, reports, and waits until something changes."""

import asyncio
import contextlib
import pathlib
import shutil
from collections.abc import Awaitable, Collection

import msgspec
import structlog

from boxfleet.agent import hooks, parts, sources, starting, tokens, wanted
from boxfleet.agent.probes import prober
from boxfleet.api import config, labels, meta, service_account, volume_claim
from boxfleet.api import pod as pods
from boxfleet.client import errors
from boxfleet.planning import pod_actions, pod_runtime, pod_status, pod_volumes, probing, pull_secrets, shedding
from boxfleet.ports import network, runtime

log = structlog.get_logger()

# Rounds of deciding and acting before others get a turn again; a plan needs a handful.
_ROUNDS = 50
# After a fault of the runtime: look again after this many seconds, an event comes sooner.
_FAULT_PAUSE = 1.0
# Where the host may not run the Pod now: the end of that is told, this is the safety net.
_FENCED_PAUSE = 2.0
# Holds that other image pull secrets may end.
_PULLING = frozenset({"ErrImagePull", "ImagePullBackOff"})


class PodWorker:
    """Everything about one Pod on this host, from its first start to its last file."""

    def __init__(self, given: parts.Parts, record: wanted.Record, *, predecessor: asyncio.Event | None) -> None:
        self._parts = given
        self._tokens = tokens.PodTokens(given.api, given.volumes, record.pod, clock=given.clock, changed=self.look)
        self._starter = starting.Starter(given, self._tokens)
        self._record = record
        self._predecessor = predecessor
        self._wake = asyncio.Event()
        self._holds: dict[str, pod_actions.Hold] = {}
        self._hooks = hooks.Hooks(given, record, changed=self.look)
        self._messages: dict[str, str] = {}
        self._stop: pod_actions.Stop | None = None
        self._sources_changed = True
        # Whether the record may say more than the disk does.
        self._unsaved = True
        self._gone_from_server = False
        self._grace = 0
        # Why the host can have it no longer; empty while it can.
        self._evicted = ""
        self._shrunk = False
        self._reported_ready = frozenset(
            status.containerID.partition("://")[2]
            for status in record.pod.status.every_container
            if status.ready and status.containerID
        )
        # Set when nothing of the Pod runs and its address is free.
        self.stopped = asyncio.Event()
        self.finished = False

    @property
    def pod(self) -> pods.Pod:
        """The Pod as it is wanted."""
        return self._record.pod

    @property
    def uid(self) -> str:
        """The Pod's uid."""
        return self._record.pod.metadata.uid

    @property
    def needs(self) -> pod_volumes.References:
        """What the Pod refers to."""
        return pod_volumes.references(self._record.pod.spec)

    def look(self) -> None:
        """Something of this Pod may have changed."""
        self._wake.set()

    def update(self, pod: pods.Pod) -> None:
        """The API shows the Pod like this now."""
        old = self._record.pod
        known, said = old.metadata, pod.metadata
        if known.labels != said.labels:
            # Files of downwardAPI volumes follow them.
            self._sources_changed = True
        if old.spec != pod.spec or known.annotations != said.annotations:
            self._holds.clear()
            self._sources_changed = True
        # What we reported last may be newer than what the watch brings.
        reported = old.status if old.status.containerStatuses else pod.status
        gates = pod_status.foreign(pod.status.conditions)
        own = [one for one in reported.conditions if one.type in pod_status.OWN_CONDITIONS]
        fresh = _copy(pod)
        fresh.status = _copy_status(reported)
        fresh.status.conditions = [*gates, *own]
        self._record.pod = fresh
        if not _same(old, fresh):
            self._unsaved = True
            self._wake.set()

    def sources_changed(self) -> None:
        """A ConfigMap, Secret or claim of the namespace changed."""
        self._sources_changed = True
        self._release(frozenset({"CreateContainerConfigError", "ContainerCreating"}))
        self._wake.set()

    def _release(self, reasons: frozenset[str]) -> None:
        """Try again now what is held for these reasons; until that is known to help, they are what is shown."""
        for name, hold in self._holds.items():
            if hold.reason in reasons:
                self._holds[name] = msgspec.structs.replace(hold, until=0.0)

    def deleted(self) -> None:
        """The API does not have the Pod any more: stop it, and tell nobody."""
        self._gone_from_server = True
        self._wake.set()

    @property
    def ends(self) -> bool:
        """Whether it is being stopped, or has ended."""
        return self._stop is not None or bool(self._evicted) or self.pod.status.has_ended

    def evict(self, message: str) -> None:
        """Stop it with its grace, as one that has failed, to make room for others."""
        self._evicted = message
        self._parts.recorder.warning(self.pod, shedding.EVICTED, message)
        self._wake.set()

    def shrink(self) -> bool:
        """Let go of what an ended Pod still has on disk besides its logs; whether it was one, and has not yet."""
        if self._shrunk or not self.pod.status.has_ended or not self.stopped.is_set():
            return False
        self._shrunk = True
        self._wake.set()
        return True

    async def run(self) -> None:
        """Look after the Pod until nothing of it is left."""
        if self._predecessor is not None:
            await self._predecessor.wait()
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._hooks.begin(group)
            self._prober = prober.Prober(
                self._parts.engine, clock=self._parts.clock, group=group, changed=self.look, failed=self._unhealthy
            )
            while not self.finished:
                self._wake.clear()
                try:
                    pause = await self._sync()
                except runtime.RuntimeFault as error:
                    log.info("cannot bring a pod forward", pod=str(self.pod.key), cause=str(error))
                    pause = _FAULT_PAUSE
                except OSError as error:
                    log.warning("cannot bring a pod forward", pod=str(self.pod.key), cause=str(error))
                    pause = _FAULT_PAUSE
                if not self.finished:
                    await self._wait(pause)
            self._prober.stop()

    async def _wait(self, pause: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._wake.wait()

    async def _sync(self) -> float | None:
        """Rounds of look, decide, act; seconds until the next look, None: until something changes."""
        if self._stop is None and not self.pod.status.has_ended:
            # Beside all that a start takes; whoever needs them waits.
            self._tokens.begin(self._group)
        await self._parts.observer.synced.wait()
        await self._refresh()
        await self._renew_tokens()
        for _ in range(_ROUNDS):
            self._order_stop()
            if self._stop is None and not self._parts.fence.may_run(self.pod):
                return _FENCED_PAUSE
            facts = self._facts()
            plan = pod_actions.decide(facts)
            self._report(facts, plan)
            if plan.ended:
                await self._finish()
                return None
            if not plan.actions:
                moments = [each for each in (plan.wake_at, self._renewal()) if each is not None]
                return max(0.0, min(moments) - facts.now) + 0.001 if moments else None
            for action in plan.actions:
                await self._act(action)
        return 0.05

    async def _renew_tokens(self) -> None:
        """Bring tokens that were asked for into the volumes of a Pod that runs."""
        if not self._tokens.fresh or self._stop is not None:
            return
        if pod_actions.current_sandbox(self._plain_facts()) is not None:
            await self._renew_volumes()
            self._release(frozenset({"ContainerCreating"}))

    def _renewal(self) -> float | None:
        """When the Pod's tokens are to be asked for again; None for a Pod that has none, or ends."""
        due = self._tokens.due
        return None if self._stop is not None or due == float("inf") else due

    def _facts(self) -> pod_actions.Facts:
        observer = self._parts.observer
        containers = observer.containers_of(self.uid)
        self._forget_gone({one.id for one in containers})
        self._follow(containers)
        return pod_actions.Facts(
            pod=self.pod,
            now=self._now(),
            sandboxes=observer.sandboxes_of(self.uid),
            containers=containers,
            checks=self._checks(containers),
            hooked=self._hooks.begun,
            hook_failures=dict(self._hooks.failures),
            stopping=dict(self._hooks.stopping),
            holds=dict(self._holds),
            stop=self._stop,
            logged=self._logged({one.name for one in containers}),
        )

    def _logged(self, there: Collection[str]) -> dict[str, int]:
        """The newest attempt by its log, for containers that the runtime does not have."""
        folder = pathlib.Path(self._parts.settings.logs) / pod_runtime.log_folder(self.pod)
        found = {}
        for name in (one.name for one in self.pod.spec.every_container if one.name not in there):
            attempts = _attempts(folder / name)
            if attempts:
                found[name] = max(attempts)
        return found

    def _checks(self, containers: list[runtime.ContainerStatus]) -> dict[str, probing.Check]:
        running = [one for one in containers if one.state is runtime.State.RUNNING]
        return {
            one.id: self._prober.check(one.id, spec)
            for one in running
            if (spec := self.pod.spec.find_container(one.name)) is not None
        }

    def _follow(self, containers: list[runtime.ContainerStatus]) -> None:
        """Let the probes look at what runs and has begun."""
        subjects = {}
        for one in containers:
            spec = self.pod.spec.find_container(one.name)
            if one.state is not runtime.State.RUNNING or spec is None or one.id in self._hooks.stopping:
                continue
            if self._hooks.is_over(one, spec):
                subjects[one.id] = self._hooks.subject(one.id, spec)
        self._prober.follow(subjects, well=self._reported_ready)

    async def _act(self, action: pod_actions.Action) -> None:
        engine, observer = self._parts.engine, self._parts.observer
        if isinstance(action, pod_actions.StartSandbox):
            await self._try(pod_actions.SANDBOX, self._start_sandbox(action))
        elif isinstance(action, pod_actions.StartContainer):
            await self._try(action.name, self._start_container(action))
        elif isinstance(action, pod_actions.StopSandbox):
            await engine.stop_sandbox(action.id)
            await observer.see_sandbox(action.id)
        elif isinstance(action, pod_actions.RemoveSandbox):
            await engine.remove_sandbox(action.id)
            observer.drop_sandbox(action.id)
        elif isinstance(action, pod_actions.RemoveContainer):
            gone = observer.containers.get(action.id)
            await engine.remove_container(action.id)
            observer.drop_container(action.id)
            if gone is not None:
                self._parts.volumes.folder(self.uid).forget(gone.name, attempt=gone.attempt)
                _remove_logs(gone.log_path)
        elif isinstance(action, pod_actions.StopContainer):
            self._hooks.stop(action)
        else:
            self._hooks.start(action)

    async def _try(self, name: str, start: Awaitable[None]) -> None:
        try:
            await start
        except starting.CannotStart as error:
            before = self._holds.get(name)
            self._holds[name] = error.hold
            if error.event and (before is None or before.message != error.hold.message):
                tell = self._parts.recorder.normal if error.event == "Pulling" else self._parts.recorder.warning
                tell(self.pod, error.event, error.hold.message)
        else:
            self._holds.pop(name, None)

    async def _start_sandbox(self, action: pod_actions.StartSandbox) -> None:
        await self._starter.sandbox(self._record, attempt=action.attempt)
        # What failed in the sandbox before it failed with it.
        self._holds.clear()

    async def _start_container(self, action: pod_actions.StartContainer) -> None:
        sandbox = pod_actions.current_sandbox(self._facts())
        if sandbox is None:
            return
        await self._starter.container(self._record, sandbox, action, again=lambda: self._retry(action.name))

    def _retry(self, name: str) -> None:
        self._holds.pop(name, None)
        self._wake.set()

    def _order_stop(self) -> None:
        """Notice that the Pod shall end, and by when."""
        info = self.pod.metadata
        now = self._now()
        if info.deletionTimestamp or self._gone_from_server:
            grace = info.deletionGracePeriodSeconds
            if grace is None:
                grace = self.pod.spec.terminationGracePeriodSeconds
            deadline = now + grace
            if self._stop is None or self._stop.reason or (deadline < self._stop.deadline and grace < self._grace):
                self._stop = pod_actions.Stop(deadline=deadline)
            self._grace = grace
        elif self._stop is None and self._evicted and not self.pod.status.has_ended:
            self._stop = pod_actions.Stop(
                deadline=now + self.pod.spec.terminationGracePeriodSeconds,
                reason=shedding.EVICTED,
                message=self._evicted,
            )
        elif self._stop is None and now >= pod_actions.pod_deadline(self.pod):
            self._stop = pod_actions.Stop(
                deadline=now + self.pod.spec.terminationGracePeriodSeconds,
                reason="DeadlineExceeded",
                message="Pod was active on the node longer than the specified deadline",
            )

    def _report(self, facts: pod_actions.Facts, plan: pod_actions.Plan) -> None:
        """Remember and tell what became of the Pod."""
        for one in facts.containers:
            if one.state is runtime.State.EXITED and one.id not in self._messages:
                folder = self._parts.volumes.folder(self.uid)
                self._messages[one.id] = folder.read_message(one.name, attempt=one.attempt)
        extras = pod_status.Extras(host_ip=self._parts.machine.address, messages=self._messages)
        status = pod_status.build(facts, plan, extras)
        if status == self.pod.status:
            if not plan.actions and not self._gone_from_server:
                self._parts.reporter.report(self._record.pod, status, urgent=True)
            return
        was_ready = meta.is_true(self.pod.status.conditions, "Ready")
        for name, hold in plan.waiting.items():
            if hold.reason == "CrashLoopBackOff" and _waited(self.pod.status, name) != hold.reason:
                self._parts.recorder.warning(self.pod, "BackOff", hold.message)
        self._record.pod = _copy(self.pod)
        self._record.pod.status = status
        if not self._gone_from_server:
            # Who asks for it must hear at once that it is ready, or no longer so.
            urgent = not plan.actions or was_ready
            self._parts.reporter.report(self._record.pod, status, urgent=urgent)

    async def _refresh(self) -> None:
        """Take in what the Pod refers to, and have all on disk before anything is done about it."""
        if self._sources_changed and self._stop is None:
            self._sources_changed = False
            self._unsaved = True
            namespace, needs = self.pod.metadata.namespace, self.needs
            find = self._parts.sources
            record = self._record
            record.config_maps = await sources.refresh(
                record.config_maps, needs.config_maps, find, config.ConfigMap, namespace
            )
            before = self._pull_secrets()
            record.account = await self._account()
            wanted_secrets = needs.secrets.union(pull_secrets.names(self.pod.spec, record.account))
            record.secrets = await sources.refresh(record.secrets, wanted_secrets, find, config.Secret, namespace)
            if self._pull_secrets() != before:
                self._release(_PULLING)
            for name in needs.claims:
                await self._bind(name)
            if pod_actions.current_sandbox(self._plain_facts()) is not None:
                await self._renew_volumes()
        if self._unsaved:
            info = self.pod.metadata
            ip = info.annotations.get(labels.ADDRESS, "")
            if ip and self._parts.network.is_seen(ip, namespace=info.namespace, instance=info.name):
                # Written along: the start asks for it next, and would have to write for it alone.
                self._record.address = ip
            try:
                await asyncio.to_thread(self._parts.wanted.save, self._record)
                self._unsaved = False
            except OSError as error:
                # A disk without room must not keep from ending what may have filled it; all else waits. Whoever
                # comes after us is told anew.
                deleted = self.pod.metadata.deletionTimestamp or self._gone_from_server
                if not (deleted or self._evicted or self._shrunk):
                    raise
                log.info("cannot write down a pod that has to go", pod=str(self.pod.key), cause=str(error))

    async def _account(self) -> service_account.ServiceAccount | None:
        """The ServiceAccount, when its image pull secrets count."""
        if self.pod.spec.imagePullSecrets:
            return None
        name = self.pod.spec.serviceAccountName or "default"
        known = {} if self._record.account is None else {name: self._record.account}
        kind, namespace = service_account.ServiceAccount, self.pod.metadata.namespace
        return (await sources.refresh(known, frozenset({name}), self._parts.sources, kind, namespace)).get(name)

    def _pull_secrets(self) -> dict[str, config.Secret | None]:
        """What registries may be shown for this Pod."""
        named = pull_secrets.names(self.pod.spec, self._record.account)
        return {name: self._record.secrets.get(name) for name in named}

    def _plain_facts(self) -> pod_actions.Facts:
        return pod_actions.Facts(pod=self.pod, now=self._now(), sandboxes=self._parts.observer.sandboxes_of(self.uid))

    async def _renew_volumes(self) -> None:
        """Files made from objects follow them while the Pod runs; what is gone from the API stays as it was."""
        ip = self.pod.metadata.annotations.get(labels.ADDRESS, "")
        with contextlib.suppress(starting.CannotStart):
            await self._starter.volumes(self._record, ip=ip)

    async def _bind(self, name: str) -> None:
        api, namespace = self._parts.api, self.pod.metadata.namespace
        try:
            claim = await api.find(volume_claim.PersistentVolumeClaim, name, namespace=namespace)
            if claim is None:
                self._record.claims.pop(name, None)
                return
            self._record.claims[name] = await self._parts.claims.bind(claim)
        except errors.Conflict:
            self._sources_changed = True
            self._wake.set()
        except errors.ApiError as error:
            log.info("cannot bind a claim", claim=f"{namespace}/{name}", cause=str(error))

    async def _finish(self) -> None:
        """Nothing runs any more: free the address, tell the API, clear away."""
        given, pod = self._parts, self.pod
        self._prober.stop()
        deleted = bool(pod.metadata.deletionTimestamp) or self._gone_from_server
        # Before a successor of the same name may begin: it makes an assignment of its own.
        if not self.stopped.is_set():
            try:
                await given.host_network.unassign(namespace=pod.metadata.namespace, name=pod.metadata.name)
            except network.NetworkFault as error:
                log.warning("cannot forget an address assignment", pod=str(pod.key), cause=str(error))
        if not deleted:
            # Ended by itself: its containers stay for their logs until the Pod is deleted.
            if self._shrunk or pod.status.reason == shedding.EVICTED:
                # First: without room nothing can be written.
                await self._clear()
            await asyncio.to_thread(given.wanted.save, self._record)
            self.stopped.set()
            await self._wait(None)
            return
        self.stopped.set()
        if not self._gone_from_server and not await self._delete():
            self._wake.set()
            await given.clock.sleep(_FAULT_PAUSE)
            return
        await self._clear()
        logs = pathlib.Path(given.settings.logs) / pod_runtime.log_folder(pod)
        await asyncio.to_thread(shutil.rmtree, logs, ignore_errors=True)
        # Last: as long as the record is there, an agent that was killed on the way goes on with the rest.
        await asyncio.to_thread(given.wanted.remove, self.uid)
        given.reporter.forget(self.uid)
        self.finished = True

    async def _clear(self) -> None:
        """Take away what a Pod that has ended has on this host, besides its logs."""
        given = self._parts
        for sandbox in given.observer.sandboxes_of(self.uid):
            await given.engine.remove_sandbox(sandbox.id)
            given.observer.drop_sandbox(sandbox.id)
        await asyncio.to_thread(given.volumes.release, self.uid)

    async def _delete(self) -> bool:
        """Let go of the object in the API; whether that is settled."""
        given, info = self._parts, self.pod.metadata
        with contextlib.suppress(errors.ApiError):
            await given.reporter.flush(self.uid)
        try:
            await given.api.delete(pods.Pod, info.name, namespace=info.namespace, grace_seconds=0, uid=info.uid)
        except (errors.NotFound, errors.Conflict):
            return True
        except errors.ApiError as error:
            log.info("cannot delete a pod that has ended", pod=str(self.pod.key), cause=str(error))
            return False
        return True

    def _unhealthy(self, name: str, kind: probing.Kind, message: str) -> None:
        self._parts.recorder.warning(self.pod, "Unhealthy", f"{kind.capitalize()} probe failed: {message}")

    def _forget_gone(self, known: set[str]) -> None:
        for gone in [one for one in self._messages if one not in known]:
            del self._messages[gone]
        self._hooks.keep(known)

    def _now(self) -> float:
        return self._parts.clock.now().timestamp()


def _copy(pod: pods.Pod) -> pods.Pod:
    """A Pod that may be given another status: objects of a cache are shared."""
    return msgspec.structs.replace(pod)


def _same(old: pods.Pod, new: pods.Pod) -> bool:
    """Whether the API shows only what is known here already: most of what it tells is our own reports."""
    known = msgspec.structs.replace(old.metadata, resourceVersion=new.metadata.resourceVersion)
    return known == new.metadata and old.spec == new.spec and old.status == new.status


def _copy_status(status: pods.PodStatus) -> pods.PodStatus:
    return msgspec.structs.replace(status)


def _remove_logs(log_path: str) -> None:
    """Remove a container's log with what was rotated of it."""
    if not log_path:
        return
    path = pathlib.Path(log_path)
    for one in [path, *path.parent.glob(f"{path.name}.*")]:
        one.unlink(missing_ok=True)


def _attempts(folder: pathlib.Path) -> list[int]:
    """The attempts of a container that have a log. Asked at every look at a Pod, and most often there is no folder."""
    try:
        return [int(path.stem) for path in folder.iterdir() if path.suffix == ".log" and path.stem.isdecimal()]
    except FileNotFoundError:
        return []


def _waited(status: pods.PodStatus, name: str) -> str:
    one = status.find_container(name)
    return one.state.waiting.reason if one is not None and one.state.waiting is not None else ""
