"""The v1 PodStatus of an instance, from the tasks of its service."""

import datetime
from collections.abc import Sequence

from boxfleet.api import meta
from boxfleet.api import pod as pods
from boxfleet.drivers.docker import model as containers
from boxfleet.drivers.docker.swarm import model
from boxfleet.kit import clock


def build(
    tasks: Sequence[model.Task],
    *,
    image: str,
    name: str,
    policy: str,
    before: Sequence[meta.Condition],
    now: datetime.datetime,
) -> pods.PodStatus:
    """The whole status. `tasks` are those of one order, oldest first; `name` is the container's."""
    status = pods.PodStatus()
    one = pods.ContainerStatus(name=name, image=image, started=False)
    status.containerStatuses = [one]
    current = tasks[-1] if tasks else None
    past = [each for each in tasks[:-1] if each.state in ("failed", "complete", "rejected")]
    one.restartCount = len(past)
    if past:
        one.lastState = pods.ContainerState(terminated=_ended(past[-1]))
    if tasks:
        status.startTime = _stamp(tasks[0].created)
    status.phase, scheduled = "Pending", ("True", "", "")
    if current is None:
        one.state = _waiting("ContainerCreating", "")
    elif current.state == "running":
        status.phase = "Running"
        one.state = pods.ContainerState(running=pods.ContainerStateRunning(startedAt=_stamp(current.updated) or ""))
        one.ready = one.started = current.desired == "running"
        one.containerID = f"docker://{current.container}"
        status.podIP = current.address
    elif current.state in model.OVER:
        one.state = _over(current, policy)
        if one.state.terminated is not None:
            status.phase = "Running" if policy == "Always" else ("Failed" if current.exit_code else "Succeeded")
            if current.state == "failed" and policy == "Never":
                status.phase = "Failed"
    elif current.state == "pending" and not current.node:
        scheduled = ("False", "Unschedulable", current.fault or current.message) if current.fault else scheduled
        one.state = _waiting("ContainerCreating", current.fault)
    elif past and current.desired == "ready":
        last = past[-1]
        reason = "ErrImagePull" if _is_image(last.fault) else "CrashLoopBackOff"
        one.state = _waiting(reason, last.fault or f"back-off restarting failed container {name}")
        status.phase = "Running" if reason == "CrashLoopBackOff" else "Pending"
    else:
        one.state = _waiting("ContainerCreating", current.fault)
    status.podIPs = [pods.PodIP(ip=status.podIP)] if status.podIP else []
    status.conditions = _conditions(status, scheduled, before=before, now=now)
    return status


def _over(current: model.Task, policy: str) -> pods.ContainerState:
    if current.state == "rejected":
        return _waiting("ErrImagePull" if _is_image(current.fault) else "CreateContainerError", current.fault)
    return pods.ContainerState(terminated=_ended(current))


def _is_image(words: str) -> bool:
    return "image" in words.lower() or "manifest" in words.lower()


def _ended(one: model.Task) -> pods.ContainerStateTerminated:
    good = one.state == "complete"
    return pods.ContainerStateTerminated(
        exitCode=one.exit_code if one.exit_code or good else 1,
        reason="Completed" if good else "Error",
        message="" if good else one.fault,
        finishedAt=_stamp(one.updated),
        containerID=f"docker://{one.container}" if one.container else "",
    )


def _waiting(reason: str, message: str) -> pods.ContainerState:
    return pods.ContainerState(waiting=pods.ContainerStateWaiting(reason=reason, message=message))


def _conditions(
    status: pods.PodStatus, scheduled: tuple[str, str, str], *, before: Sequence[meta.Condition], now: datetime.datetime
) -> list[meta.Condition]:
    one = status.containerStatuses[0]
    ready = (
        ("True", "", "")
        if one.ready
        else ("False", "ContainersNotReady", f"containers with unready status: [{one.name}]")
    )
    if status.phase == "Succeeded":
        ready = ("False", "PodCompleted", "")
    elif status.phase == "Failed":
        ready = ("False", "PodFailed", "")
    found = []
    for kind, (value, reason, message) in {
        "Initialized": ("True", "", ""),
        "Ready": ready,
        "ContainersReady": ready,
        "PodScheduled": scheduled,
    }.items():
        old = meta.find_condition(before, kind)
        since = old.lastTransitionTime if old is not None and old.status == value else clock.stamp(now)
        found.append(meta.Condition(type=kind, status=value, reason=reason, message=message, lastTransitionTime=since))
    return found


def _stamp(text: str) -> str | None:
    moment = containers.moment(text)
    return clock.stamp(moment) if moment is not None else None
