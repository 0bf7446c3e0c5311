"""What the API shows of a Pod: phase, conditions and container statuses from facts."""

import datetime
from collections.abc import Iterable

import msgspec

from boxfleet.api import meta
from boxfleet.api import pod as pods
from boxfleet.kit import clock
from boxfleet.planning import pod_actions, pod_resources, shedding
from boxfleet.ports import runtime

OWN_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")


class Extras(msgspec.Struct, frozen=True, kw_only=True):
    """What is known besides the runtime's facts."""

    host_ip: str
    # Last words of ended containers, by id.
    messages: dict[str, str] = {}


def build(facts: pod_actions.Facts, plan: pod_actions.Plan, extras: Extras) -> pods.PodStatus:
    """The whole status that the agent reports; `facts.pod.status` is what was reported before."""
    pod = facts.pod
    old = pod.status
    now = clock.stamp(datetime.datetime.fromtimestamp(facts.now, datetime.UTC))
    sandbox = pod_actions.current_sandbox(facts)
    status = pods.PodStatus(
        hostIP=extras.host_ip,
        startTime=old.startTime or now,
        qosClass=pod_resources.quality(pod.spec),
    )
    ip = extras.host_ip if pod.spec.hostNetwork else sandbox.ip if sandbox is not None and sandbox.ready else ""
    status.podIP = ip or old.podIP
    status.podIPs = [pods.PodIP(ip=status.podIP)] if status.podIP else []
    context = _Context(facts=facts, plan=plan, extras=extras)
    status.initContainerStatuses = [_init_status(context, container) for container in pod.spec.initContainers]
    status.containerStatuses = [_status(context, container) for container in pod.spec.containers]
    status.ephemeralContainerStatuses = [_joined(context, one) for one in pod.spec.ephemeralContainers]
    status.phase = _phase(facts, plan, status)
    if facts.stop is not None and facts.stop.reason:
        status.reason, status.message = facts.stop.reason, facts.stop.message
    elif old.has_ended:
        status.reason, status.message = old.reason, old.message
    status.conditions = _conditions(facts, plan, status, sandbox, now)
    return status


class _Context(msgspec.Struct, frozen=True, kw_only=True):
    facts: pod_actions.Facts
    plan: pod_actions.Plan
    extras: Extras


def _phase(facts: pod_actions.Facts, plan: pod_actions.Plan, status: pods.PodStatus) -> str:
    running = any(one.state.running is not None for one in status.every_container)
    old = facts.pod.status.phase
    if facts.pod.status.has_ended:
        return old
    if plan.outcome:
        return plan.outcome if not running else (old or "Running")
    if facts.stop is not None and facts.stop.reason and not running:
        return "Failed"
    if not plan.initialized and facts.stop is None:
        return "Pending"
    never = [
        one
        for one in status.containerStatuses
        if one.state.running is None and one.state.terminated is None and one.lastState.terminated is None
    ]
    return "Pending" if never else "Running"


def _init_status(context: _Context, container: pods.Container) -> pods.ContainerStatus:
    status = _status(context, container)
    if not container.is_sidecar:
        ended = status.state.terminated
        status.ready = ended is not None and ended.exitCode == 0
        status.started = status.state.running is not None
    return status


def _joined(context: _Context, container: pods.EphemeralContainer) -> pods.ContainerStatus:
    """An ephemeral container counts for nothing, so it is never ready; and one that has ended stays so."""
    status = _status(context, container)
    status.ready, status.started = False, None
    if status.state.waiting is not None and status.lastState.terminated is not None:
        status.state, status.lastState = status.lastState, pods.ContainerState()
    return status


def _status(context: _Context, container: pods.Container) -> pods.ContainerStatus:
    facts, plan = context.facts, context.plan
    name = container.name
    old = facts.pod.status.find_container(name)
    own = sorted(
        (one for one in facts.containers if one.name == name and one.state is not runtime.State.CREATED),
        key=runtime.by_age,
    )
    status = pods.ContainerStatus(name=name, image=container.image, started=False)
    hold = plan.waiting.get(name) or facts.holds.get(name)
    if not own:
        if old is not None and (old.state.terminated or old.lastState.terminated):
            # Its container was cleaned away; what was reported is all that is known.
            status = msgspec.structs.replace(old, ready=False, started=False)
            if old.state.terminated is not None or facts.stop is not None:
                return status
        elif old is not None and old.state.running is not None:
            # It ran, and the runtime has no trace of it: stopped with the whole host, or taken away by hand.
            status.restartCount = old.restartCount
            status.lastState = pods.ContainerState(terminated=_lost(old))
        status.state = pods.ContainerState(waiting=_waiting(context, container, hold))
        return status
    last = own[-1]
    status.restartCount = last.attempt
    status.image = container.image
    status.imageID = last.image_ref
    status.containerID = f"containerd://{last.id}"
    if len(own) > 1:
        status.lastState = pods.ContainerState(terminated=terminated(own[-2], context.extras))
    elif old is not None and old.restartCount == last.attempt:
        status.lastState = old.lastState
    elif old is not None and old.state.terminated is not None and old.restartCount < last.attempt:
        status.lastState = pods.ContainerState(terminated=old.state.terminated)
    elif old is not None and old.restartCount < last.attempt:
        status.lastState = pods.ContainerState(terminated=old.lastState.terminated or _lost(old))
    if last.state is runtime.State.RUNNING:
        check = facts.checks.get(last.id)
        started = last.started_at or last.created_at
        status.state = pods.ContainerState(running=pods.ContainerStateRunning(startedAt=_moment(started) or ""))
        status.started = check is not None and check.started
        status.ready = check is not None and check.ready and facts.stop is None and last.id not in facts.stopping
        return status
    ended = terminated(last, context.extras)
    if hold is not None and facts.stop is None and not plan.outcome:
        status.state = pods.ContainerState(waiting=pods.ContainerStateWaiting(reason=hold.reason, message=hold.message))
        status.lastState = pods.ContainerState(terminated=ended)
    else:
        status.state = pods.ContainerState(terminated=ended)
    return status


def terminated(one: runtime.ContainerStatus, extras: Extras) -> pods.ContainerStateTerminated:
    """How an ended container ended."""
    reason = one.reason
    exit_code = one.exit_code
    if one.state is runtime.State.UNKNOWN:
        reason, exit_code = "ContainerStatusUnknown", 137
    if not reason:
        reason = "Completed" if exit_code == 0 else "Error"
    return pods.ContainerStateTerminated(
        exitCode=exit_code,
        signal=0,
        reason=reason,
        message=extras.messages.get(one.id, "") or one.message,
        startedAt=_moment(one.started_at),
        finishedAt=_moment(one.finished_at),
        containerID=f"containerd://{one.id}",
    )


def stopped(pod: pods.Pod, ended: Iterable[runtime.ContainerStatus], extras: Extras) -> pods.PodStatus:
    """What is known of a Pod whose containers ended and are gone: it will start again, and remember how they ended."""
    newest: dict[str, runtime.ContainerStatus] = {}
    for one in sorted(ended, key=runtime.by_age):
        newest[one.name] = one

    def status(container: pods.Container) -> pods.ContainerStatus:
        old = pod.status.find_container(container.name) or pods.ContainerStatus(name=container.name)
        last = newest.get(container.name)
        if last is None:
            return old
        return msgspec.structs.replace(
            old,
            state=pods.ContainerState(waiting=pods.ContainerStateWaiting(reason="ContainerCreating")),
            lastState=pods.ContainerState(terminated=terminated(last, extras)),
            ready=False,
            started=False,
            restartCount=last.attempt,
            image=container.image,
            imageID=last.image_ref,
            containerID=f"containerd://{last.id}",
        )

    return msgspec.structs.replace(
        pod.status,
        initContainerStatuses=[status(each) for each in pod.spec.initContainers],
        containerStatuses=[status(each) for each in pod.spec.containers],
    )


def _lost(old: pods.ContainerStatus) -> pods.ContainerStateTerminated | None:
    """How a container ended that ran when it was last seen; Kubernetes' words for it."""
    if old.state.running is None:
        return None
    return pods.ContainerStateTerminated(
        exitCode=137,
        reason="ContainerStatusUnknown",
        message="The container was not there any more when it was looked for",
        startedAt=old.state.running.startedAt,
        containerID=old.containerID,
    )


def _waiting(context: _Context, container: pods.Container, hold: pod_actions.Hold | None) -> pods.ContainerStateWaiting:
    if hold is not None:
        return pods.ContainerStateWaiting(reason=hold.reason, message=hold.message)
    mains = {one.name for one in context.facts.pod.spec.containers}
    initializing = bool(context.facts.pod.spec.initContainers) and not context.plan.initialized
    return pods.ContainerStateWaiting(
        reason="PodInitializing" if initializing and container.name in mains else "ContainerCreating"
    )


def _conditions(
    facts: pod_actions.Facts,
    plan: pod_actions.Plan,
    status: pods.PodStatus,
    sandbox: runtime.SandboxStatus | None,
    now: str,
) -> list[meta.Condition]:
    done = status.phase == "Succeeded"
    counted = [
        *status.containerStatuses,
        *(
            one
            for one, spec in zip(status.initContainerStatuses, facts.pod.spec.initContainers, strict=True)
            if spec.is_sidecar
        ),
    ]
    unready = [one.name for one in counted if not one.ready]
    if done:
        containers = ("False", "PodCompleted", "")
    elif status.phase == "Failed":
        containers = ("False", "PodFailed", "")
    elif unready:
        containers = ("False", "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")
    else:
        containers = ("True", "", "")
    ready = containers
    if ready[0] == "True":
        closed = [
            gate.conditionType
            for gate in facts.pod.spec.readinessGates
            if not meta.is_true(facts.pod.status.conditions, gate.conditionType)
        ]
        if closed:
            ready = ("False", "ReadinessGatesNotReady", f"readiness gates that are not True: {', '.join(closed)}")
    not_started = [one.name for one in status.initContainerStatuses if not one.ready]
    initialized = (
        ("True", "PodCompleted" if done else "", "")
        if plan.initialized or done
        else ("False", "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(not_started)}]")
    )
    up = sandbox is not None and sandbox.ready
    result = list(foreign(facts.pod.status.conditions))
    if status.reason == shedding.EVICTED and meta.find_condition(result, "DisruptionTarget") is None:
        # Kubernetes' word for "it was not its own fault alone", which the owners of Pods may go by.
        result.append(
            meta.Condition(
                type="DisruptionTarget",
                status="True",
                reason="TerminationByKubelet",
                message=status.message,
                lastTransitionTime=now,
            )
        )
    previous = facts.pod.status.conditions
    for kind, (value, reason, message) in {
        "PodReadyToStartContainers": ("True" if up else "False", "", ""),
        "Initialized": initialized,
        "Ready": ready,
        "ContainersReady": containers,
        "PodScheduled": ("True", "", ""),
    }.items():
        new = meta.Condition(type=kind, status=value, reason=reason, message=message, lastTransitionTime=now)
        before = meta.find_condition(previous, kind)
        if before is not None and before.status == value:
            new.lastTransitionTime = before.lastTransitionTime or now
        result.append(new)
    return result


def foreign(conditions: Iterable[meta.Condition]) -> list[meta.Condition]:
    """The conditions that others keep on a Pod."""
    return [condition for condition in conditions if condition.type not in OWN_CONDITIONS]


def _moment(nanoseconds: int) -> str | None:
    if not nanoseconds:
        return None
    return clock.stamp(datetime.datetime.fromtimestamp(nanoseconds / 1e9, datetime.UTC))
