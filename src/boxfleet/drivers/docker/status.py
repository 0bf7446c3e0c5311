"""The v1 PodStatus of an instance, from what the engine tells of its containers."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from boxfleet.api import meta
from boxfleet.api import pod as pods
from boxfleet.drivers.docker import deciding, given, marks, model
from boxfleet.kit import clock
from boxfleet.planning import pod_resources, probing

_UP = frozenset({"running", "restarting", "paused"})


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Why a container cannot be made or started, in Kubernetes' words."""

    reason: str
    message: str


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an instance besides its containers. `wanted` is None until its order came."""

    wanted: given.Given | None = None
    order: Sequence[tuple[str, str]] = ()
    host_ip: str = ""
    holds: Mapping[str, Hold] = {}
    # By container id; restarts are those that the engine does not count.
    checks: Mapping[str, probing.Check] = {}
    restarts: Mapping[str, int] = {}
    ended: Mapping[str, pods.ContainerStateTerminated] = {}
    before: Sequence[meta.Condition] = ()


def build(made: Sequence[model.Container], known: Known, *, now: datetime.datetime) -> pods.PodStatus:
    """The whole status."""
    by_name = {one.mark.container: one for one in made}
    order = known.order or [(one.mark.container, one.mark.role) for one in sorted(made, key=lambda one: one.created)]
    inits = [name for name, role in order if role in ("init", "sidecar")]
    mains = [name for name, role in order if role == "main"]
    initialized = any(name in by_name for name in mains)
    status = pods.PodStatus(hostIP=known.host_ip)
    first = min((moment for one in made if (moment := model.moment(one.created)) is not None), default=None)
    status.startTime = clock.stamp(first) if first is not None else None
    if known.wanted is not None:
        status.qosClass = pod_resources.quality(known.wanted.pod.spec)
    status.initContainerStatuses = [
        _container(name, by_name.get(name), known, initialized=True, is_init=dict(order)[name] == "init")
        for name in inits
    ]
    status.containerStatuses = [
        _container(name, by_name.get(name), known, initialized=initialized or not inits, is_init=False)
        for name in mains
    ]
    status.podIP = next((one.ip for one in made if one.ip), "")
    if not status.podIP and known.wanted is not None and known.wanted.pod.spec.hostNetwork:
        status.podIP = known.host_ip
    status.podIPs = [pods.PodIP(ip=status.podIP)] if status.podIP else []
    spec = known.wanted.pod.spec if known.wanted is not None else None
    status.phase = _phase([by_name.get(name) for name in mains], [by_name.get(name) for name in inits], spec)
    ready_inits = all(one.ready for one in status.initContainerStatuses)
    status.conditions = _conditions(status, known, initialized=initialized or ready_inits, now=now)
    return status


def plain(status: pods.PodStatus) -> dict[str, Any]:
    """As the API shows it."""
    found: dict[str, Any] = _without_null(msgspec.to_builtins(status))
    return found


def terminated(one: model.Container) -> pods.ContainerStateTerminated:
    """How a container ended."""
    state = one.state
    reason = "OOMKilled" if state.oom_killed else ("Completed" if state.exit_code == 0 else "Error")
    if state.error and not one.was_started:
        reason = "ContainerCannotRun"
    return pods.ContainerStateTerminated(
        exitCode=state.exit_code,
        reason=reason,
        message=state.error,
        startedAt=_stamp(state.started_at),
        finishedAt=_stamp(state.finished_at),
        containerID=_id(one),
    )


def _container(
    name: str, one: model.Container | None, known: Known, *, initialized: bool, is_init: bool
) -> pods.ContainerStatus:
    spec = known.wanted.pod.spec.find_container(name) if known.wanted is not None else None
    status = pods.ContainerStatus(name=name, started=False, image=spec.image if spec is not None else "")
    # Without a network none of them can be there.
    hold = known.holds.get(name) or known.holds.get(marks.NETWORK_NAME)
    if one is None:
        usual = "ContainerCreating" if initialized else "PodInitializing"
        waiting = pods.ContainerStateWaiting(
            reason=hold.reason if hold else usual, message=hold.message if hold else ""
        )
        status.state = pods.ContainerState(waiting=waiting)
        return status
    status.image, status.imageID, status.containerID = one.config.image, one.image, _id(one)
    status.restartCount = one.restart_count + known.restarts.get(one.id, 0)
    ended = known.ended.get(one.id)
    if status.restartCount and ended is not None:
        status.lastState = pods.ContainerState(terminated=ended)
    if one.state.restarting or one.state.status == "restarting":
        last = terminated(one)
        status.lastState = pods.ContainerState(terminated=last)
        words = f"back-off restarting failed container {name}: exit code {last.exitCode}"
        status.state = pods.ContainerState(waiting=pods.ContainerStateWaiting(reason="CrashLoopBackOff", message=words))
    elif one.state.status in _UP:
        status.state = pods.ContainerState(
            running=pods.ContainerStateRunning(startedAt=_stamp(one.state.started_at) or "")
        )
        if is_init:
            status.started = True
        else:
            check = known.checks.get(one.id)
            well = known.wanted is None
            status.started = check.started if check is not None else well
            status.ready = (check.ready if check is not None else well) and one.state.status == "running"
    elif one.was_started:
        status.state = pods.ContainerState(terminated=terminated(one))
        status.ready = is_init and one.state.exit_code == 0
    else:
        words = hold.message if hold is not None else one.state.error
        reason = hold.reason if hold is not None else ("RunContainerError" if words else "ContainerCreating")
        status.state = pods.ContainerState(waiting=pods.ContainerStateWaiting(reason=reason, message=words))
    return status


def _phase(
    mains: Sequence[model.Container | None], inits: Sequence[model.Container | None], spec: pods.PodSpec | None
) -> str:
    there = [one for one in mains if one is not None]
    if spec is not None:
        if there and len(there) == len(mains) and all(deciding.has_ended(one, spec) for one in there):
            return "Failed" if any(one.state.exit_code for one in there) else "Succeeded"
        broken = (
            one is not None and deciding.has_ended(one, spec) and one.state.exit_code != 0
            for one in inits
            if one is None or one.mark.role == "init"
        )
        if not there and any(broken):
            return "Failed"
    return "Running" if there and len(there) == len(mains) and all(one.was_started for one in there) else "Pending"


def _conditions(
    status: pods.PodStatus, known: Known, *, initialized: bool, now: datetime.datetime
) -> list[meta.Condition]:
    sidecars = {name for name, role in known.order if role == "sidecar"}
    counted = [*status.containerStatuses, *(one for one in status.initContainerStatuses if one.name in sidecars)]
    unready = [one.name for one in counted if not one.ready]
    if status.phase == "Succeeded":
        ready = ("False", "PodCompleted", "")
    elif status.phase == "Failed":
        ready = ("False", "PodFailed", "")
    elif unready or not counted:
        ready = ("False", "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")
    else:
        ready = ("True", "", "")
    waiting = [one.name for one in status.initContainerStatuses if not one.ready]
    begun = (
        ("True", "", "")
        if initialized
        else ("False", "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(waiting)}]")
    )
    stamp = clock.stamp(now)
    found = []
    for kind, (value, reason, message) in {
        "Initialized": begun,
        "Ready": ready,
        "ContainersReady": ready,
        "PodScheduled": ("True", "", ""),
    }.items():
        old = meta.find_condition(known.before, kind)
        since = old.lastTransitionTime if old is not None and old.status == value else stamp
        found.append(meta.Condition(type=kind, status=value, reason=reason, message=message, lastTransitionTime=since))
    return found


def _id(one: model.Container) -> str:
    return f"docker://{one.id}"


def _stamp(text: str) -> str | None:
    moment = model.moment(text)
    return clock.stamp(moment) if moment is not None else None


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_null(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_null(item) for item in value]
    return value
