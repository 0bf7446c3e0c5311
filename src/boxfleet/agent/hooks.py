"""What goes on beside a container: its postStart hook, and its stop with the preStop hook."""

import asyncio
import math
import pathlib
from collections.abc import Callable, Mapping

import structlog

from boxfleet.agent import parts, wanted
from boxfleet.agent.probes import ask
from boxfleet.api import pod as pods
from boxfleet.planning import pod_actions
from boxfleet.ports import runtime

log = structlog.get_logger()

# Seconds before another try after a fault of the runtime.
_FAULT_PAUSE = 1.0
# A container whose preStop hook used up the grace still gets this many seconds to end, as Kubernetes has it.
_LEAST_GRACE = 2.0
# Kubernetes gives a postStart hook no time limit; this one (seconds) keeps a lost connection from hanging for ever.
_POST_START = 3600.0


class Hooks:
    """Runs hooks and stops for the containers of one Pod; `changed` is called when one is over."""

    def __init__(self, given: parts.Parts, record: wanted.Record, *, changed: Callable[[], None]) -> None:
        self._parts = given
        self._record = record
        self._changed = changed
        self._stopping: dict[str, float] = {}
        self._running: set[str] = set()
        self._over: set[str] = set()
        self._failures: dict[str, str] = {}

    @property
    def stopping(self) -> Mapping[str, float]:
        """Containers that are being stopped, and by when."""
        return self._stopping

    @property
    def begun(self) -> frozenset[str]:
        """Containers whose postStart hook runs, is over, or does not exist."""
        return frozenset(self._over | self._running)

    @property
    def failures(self) -> Mapping[str, str]:
        """Containers whose postStart hook failed, and what it said."""
        return self._failures

    def begin(self, group: asyncio.TaskGroup) -> None:
        """Work in this group from now on; nothing of an earlier one is under way any more."""
        self._group = group
        self._stopping.clear()
        self._running.clear()

    def keep(self, known: set[str]) -> None:
        """Forget all containers but these."""
        for gone in [one for one in self._failures if one not in known]:
            del self._failures[gone]
        self._over &= known

    def is_over(self, one: runtime.ContainerStatus, spec: pods.Container) -> bool:
        """Whether a container has no postStart hook to wait for; what an earlier life of the agent ran counts."""
        if one.id in self._over:
            return True
        if spec.lifecycle is None or spec.lifecycle.postStart is None or self._mark(one).exists():
            self._over.add(one.id)
            return True
        return False

    def subject(self, container_id: str, spec: pods.Container) -> ask.Subject:
        """A container as hooks and probes know it."""
        observer, pod = self._parts.observer, self._record.pod
        container = observer.containers.get(container_id)
        sandbox = observer.sandboxes.get(container.sandbox_id) if container is not None else None
        ip = self._parts.machine.address if pod.spec.hostNetwork else (sandbox.ip if sandbox is not None else "")
        return ask.Subject(id=container_id, container=spec, ip=ip)

    def start(self, action: pod_actions.RunHook) -> None:
        """Run the postStart hook of a container."""
        self._running.add(action.id)
        self._group.create_task(self._post_start(action))

    def stop(self, action: pod_actions.StopContainer) -> None:
        """Stop a container: preStop hook, signal, force."""
        self._stopping[action.id] = action.deadline
        self._group.create_task(self._stop(action))

    async def _post_start(self, action: pod_actions.RunHook) -> None:
        pod = self._record.pod
        spec = pod.spec.find_container(action.name)
        hook = spec.lifecycle.postStart if spec is not None and spec.lifecycle is not None else None
        try:
            if hook is not None and spec is not None:
                answer = await ask.ask(self._parts.engine, self.subject(action.id, spec), hook, timeout=_POST_START)
                if not answer.success:
                    self._failures[action.id] = answer.message
                    message = f"PostStartHook failed: {answer.message}"
                    self._parts.recorder.warning(pod, "FailedPostStartHook", message)
                    return
            container = self._parts.observer.containers.get(action.id)
            if container is not None:
                mark = self._mark(container)
                mark.parent.mkdir(parents=True, exist_ok=True)
                mark.touch()
            self._over.add(action.id)
        except runtime.Unavailable:
            await self._parts.clock.sleep(_FAULT_PAUSE)
        finally:
            self._running.discard(action.id)
            self._changed()

    async def _stop(self, action: pod_actions.StopContainer) -> None:
        pod, engine = self._record.pod, self._parts.engine
        spec = pod.spec.find_container(action.name)
        tell = self._parts.recorder.warning if action.reason == "Unhealthy" else self._parts.recorder.normal
        tell(pod, "Killing", action.message)
        try:
            hook = spec.lifecycle.preStop if spec is not None and spec.lifecycle is not None else None
            left = action.deadline - self._now()
            if hook is not None and spec is not None and left > 0:
                answer = await ask.ask(engine, self.subject(action.id, spec), hook, timeout=left)
                if not answer.success:
                    self._parts.recorder.warning(pod, "FailedPreStopHook", f"PreStopHook failed: {answer.message}")
                left = max(_LEAST_GRACE, action.deadline - self._now())
            await engine.stop_container(action.id, grace_seconds=max(0, math.ceil(left)))
            await self._parts.observer.see_container(action.id, ended=True)
        except runtime.RuntimeFault as error:
            log.info("cannot stop a container", pod=str(pod.key), container=action.name, cause=str(error))
            await self._parts.clock.sleep(_FAULT_PAUSE)
        finally:
            if self._stopping.get(action.id) == action.deadline:
                del self._stopping[action.id]
            self._changed()

    def _mark(self, one: runtime.ContainerStatus) -> pathlib.Path:
        return self._parts.volumes.folder(self._record.pod.metadata.uid).hooked(one.name, attempt=one.attempt)

    def _now(self) -> float:
        return self._parts.clock.now().timestamp()
