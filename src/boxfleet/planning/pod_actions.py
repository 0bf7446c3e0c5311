"""What to do next for one Pod: facts in, actions out.

The same function serves the first start, a crash, an update, a deletion, and an agent that came back after kill -9:
it only looks at what is there now.
"""

from collections.abc import Mapping

import msgspec

from boxfleet.api import pod as pods
from boxfleet.kit import clock
from boxfleet.planning import marks, probing, restart
from boxfleet.ports import runtime

# The hold of the sandbox among those of containers: no container can be named so.
SANDBOX = ""


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Why something is not tried before a moment (seconds since the epoch; infinite: until something changes)."""

    until: float
    reason: str
    message: str = ""


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """The order to end the whole Pod, by a moment in seconds since the epoch."""

    deadline: float
    # Empty when the Pod is deleted; else the status.reason it ends with, such as DeadlineExceeded.
    reason: str = ""
    message: str = ""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """One Pod and what is there of it now."""

    pod: pods.Pod
    now: float
    sandboxes: list[runtime.SandboxStatus] = []
    containers: list[runtime.ContainerStatus] = []
    # By container id.
    checks: Mapping[str, probing.Check] = {}
    # Containers whose postStart hook is over or that have none.
    hooked: frozenset[str] = frozenset()
    # Containers whose postStart hook failed: they must go.
    hook_failures: Mapping[str, str] = {}
    # Containers that are being stopped, and by when.
    stopping: Mapping[str, float] = {}
    # By container name, or SANDBOX.
    holds: Mapping[str, Hold] = {}
    stop: Stop | None = None
    # The newest attempt of which a log is there, by container name, for those that the runtime does not have.
    logged: Mapping[str, int] = {}


class StartSandbox(msgspec.Struct, frozen=True, kw_only=True):
    """Make the Pod's sandbox."""

    attempt: int


class StopSandbox(msgspec.Struct, frozen=True, kw_only=True):
    """Stop a sandbox and free its network."""

    id: str


class RemoveSandbox(msgspec.Struct, frozen=True, kw_only=True):
    """Remove a stopped sandbox with its containers."""

    id: str


class StartContainer(msgspec.Struct, frozen=True, kw_only=True):
    """Make and start a container in the current sandbox."""

    name: str
    attempt: int
    failures: int = 0


class RunHook(msgspec.Struct, frozen=True, kw_only=True):
    """Run the postStart hook of a container."""

    id: str
    name: str


class StopContainer(msgspec.Struct, frozen=True, kw_only=True):
    """Stop a container: preStop hook, signal, and force at the deadline."""

    id: str
    name: str
    deadline: float
    reason: str
    message: str


class RemoveContainer(msgspec.Struct, frozen=True, kw_only=True):
    """Remove a container that does not run."""

    id: str


Action = StartSandbox | StopSandbox | RemoveSandbox | StartContainer | RunHook | StopContainer | RemoveContainer


class Plan(msgspec.Struct, kw_only=True):
    """Actions to take now, in order; then look again at `wake_at` or when something changes."""

    actions: list[Action] = []
    wake_at: float | None = None
    # Containers that wait for something, and why.
    waiting: dict[str, Hold] = {}
    initialized: bool = False
    # Succeeded or Failed, once that is certain.
    outcome: str = ""
    # Nothing of the Pod runs any more and it shall not run again.
    ended: bool = False

    def wake(self, moment: float) -> None:
        """Look again at that moment or earlier."""
        if self.wake_at is None or moment < self.wake_at:
            self.wake_at = moment


def current_sandbox(facts: Facts) -> runtime.SandboxStatus | None:
    """The newest sandbox, ready or not."""
    return max(facts.sandboxes, key=runtime.by_age, default=None)


def latest(facts: Facts, name: str) -> runtime.ContainerStatus | None:
    """The newest container of that name, in whatever sandbox."""
    own = [one for one in facts.containers if one.name == name]
    return max(own, key=runtime.by_age, default=None)


def decide(facts: Facts) -> Plan:
    """The next actions for a Pod."""
    plan = Plan()
    plan.initialized = _initialized(facts)
    plan.outcome = outcome(facts)
    if facts.stop is not None or plan.outcome:
        _end(facts, plan)
        return plan
    deadline = facts.pod.spec.activeDeadlineSeconds
    if deadline is not None and facts.pod.status.startTime is not None:
        plan.wake(pod_deadline(facts.pod))
    sandbox = current_sandbox(facts)
    if sandbox is None or not sandbox.ready:
        _renew_sandbox(facts, plan, sandbox)
        return plan
    _start_containers(facts, plan, sandbox)
    for container in facts.pod.spec.ephemeralContainers:
        _join(facts, plan, container, sandbox)
    _tidy(facts, plan, sandbox)
    return plan


def pod_deadline(pod: pods.Pod) -> float:
    """When activeDeadlineSeconds is over, in seconds since the epoch; infinite without one."""
    if pod.spec.activeDeadlineSeconds is None or pod.status.startTime is None:
        return float("inf")
    return clock.parse(pod.status.startTime).timestamp() + pod.spec.activeDeadlineSeconds


def outcome(facts: Facts) -> str:
    """Succeeded or Failed when no container that counts runs or will run again; else empty."""
    pod = facts.pod
    if pod.status.has_ended:
        return pod.status.phase
    policy = pod.spec.restartPolicy
    if policy == "Always":
        return ""
    if not _initialized(facts):
        for container in pod.spec.initContainers:
            if container.is_sidecar:
                continue
            last = latest(facts, container.name)
            if last is None or last.state is not runtime.State.EXITED:
                return ""
            if last.exit_code != 0:
                return "Failed" if policy == "Never" else ""
        return ""
    codes = []
    for container in pod.spec.containers:
        last = latest(facts, container.name)
        if last is None or last.state is not runtime.State.EXITED:
            return ""
        if _replaced(last, container) or restart.wanted(policy=policy, exit_code=last.exit_code):
            return ""
        codes.append(last.exit_code)
    return "Failed" if any(codes) else "Succeeded"


def _initialized(facts: Facts) -> bool:
    """Whether the init containers have done their work in the current sandbox."""
    spec = facts.pod.spec
    sandbox = current_sandbox(facts)
    mains = {container.name for container in spec.containers}
    if sandbox is None:
        return not spec.initContainers
    here = [one for one in facts.containers if one.sandbox_id == sandbox.id]
    if any(one.name in mains and one.state is not runtime.State.CREATED for one in here):
        return True
    for container in spec.initContainers:
        last = max((one for one in here if one.name == container.name), key=lambda one: one.attempt, default=None)
        if last is None:
            return False
        if container.is_sidecar:
            check = facts.checks.get(last.id)
            if last.state is not runtime.State.RUNNING or check is None or not check.started:
                return False
        elif last.state is not runtime.State.EXITED or last.exit_code != 0:
            return False
    return True


def _end(facts: Facts, plan: Plan) -> None:
    """Main containers first, then sidecars from last to first, then the sandbox."""
    spec = facts.pod.spec
    grace = facts.pod.spec.terminationGracePeriodSeconds
    deadline = facts.stop.deadline if facts.stop is not None else facts.now + grace
    reason = (facts.stop.reason if facts.stop is not None else "") or "Killing"
    sidecars = [container.name for container in spec.initContainers if container.is_sidecar]
    alive = [one for one in facts.containers if one.state in (runtime.State.RUNNING, runtime.State.UNKNOWN)]
    first = [one for one in alive if one.name not in sidecars]
    if not first and alive:
        first = [max(alive, key=lambda one: sidecars.index(one.name))]
    for one in first:
        _stop(facts, plan, one, deadline, reason, f"Stopping container {one.name}")
    if alive:
        return
    created = [one for one in facts.containers if one.state is runtime.State.CREATED]
    plan.actions += [RemoveContainer(id=one.id) for one in created]
    plan.actions += [StopSandbox(id=one.id) for one in facts.sandboxes if one.ready]
    plan.ended = not plan.actions


def _renew_sandbox(facts: Facts, plan: Plan, sandbox: runtime.SandboxStatus | None) -> None:
    """Clear away what is left of a dead or half-made sandbox, then make the next one."""
    for one in facts.containers:
        if one.state in (runtime.State.RUNNING, runtime.State.UNKNOWN):
            _stop(
                facts, plan, one, facts.now, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created"
            )
    if any(one.state is runtime.State.RUNNING for one in facts.containers):
        return
    hold = facts.holds.get(SANDBOX)
    if hold is not None and facts.now < hold.until:
        plan.wake(hold.until)
        return
    # Its network must be free before the next one takes the same address.
    plan.actions += [StopSandbox(id=one.id) for one in facts.sandboxes]
    plan.actions.append(StartSandbox(attempt=0 if sandbox is None else sandbox.attempt + 1))


def _start_containers(facts: Facts, plan: Plan, sandbox: runtime.SandboxStatus) -> None:
    """Init containers in order, sidecars among them, then all others at once."""
    spec = facts.pod.spec
    if not plan.initialized:
        for container in spec.initContainers:
            if not _run_init(facts, plan, container, sandbox):
                return
        # The facts of this round said "not initialized"; the next one will see the mains.
    else:
        for container in spec.initContainers:
            if container.is_sidecar:
                _run(facts, plan, container, sandbox, policy="Always")
    for container in spec.containers:
        _run(facts, plan, container, sandbox, policy=spec.restartPolicy)


def _join(facts: Facts, plan: Plan, container: pods.EphemeralContainer, sandbox: runtime.SandboxStatus) -> None:
    """Start an ephemeral container, once in the life of the Pod and without waiting for the init containers."""
    name, target = container.name, container.targetContainerName
    last = latest(facts, name)
    if last is None and _first_attempt(facts, name) > 0:
        # It ran, and the runtime has no trace of it any more.
        return
    if last is not None and last.state is runtime.State.UNKNOWN:
        _stop(facts, plan, last, facts.now, "ContainerStatusUnknown", f"Container {name} is in an unknown state")
    if last is not None and last.state is not runtime.State.CREATED:
        return
    if target and running(facts, target, sandbox) is None:
        plan.waiting[name] = Hold(
            until=float("inf"), reason="ContainerCreating", message=f"waits for its target container {target} to run"
        )
        return
    if last is not None:
        # Half-made by an agent that was killed: its name must be free before it can be made again.
        plan.actions.append(RemoveContainer(id=last.id))
    _start(facts, plan, name, attempt=0, failures=0)


def _run_init(facts: Facts, plan: Plan, container: pods.Container, sandbox: runtime.SandboxStatus) -> bool:
    """Move one init container on; returns whether the next may begin."""
    if container.is_sidecar:
        _run(facts, plan, container, sandbox, policy="Always")
        last = _here(facts, container.name, sandbox)
        check = facts.checks.get(last.id) if last is not None else None
        return last is not None and last.state is runtime.State.RUNNING and check is not None and check.started
    last = _here(facts, container.name, sandbox)
    if last is not None and last.state is runtime.State.EXITED and last.exit_code == 0:
        return True
    policy = "Never" if facts.pod.spec.restartPolicy == "Never" else "OnFailure"
    _run(facts, plan, container, sandbox, policy=policy, again=True)
    return False


def _run(
    facts: Facts,
    plan: Plan,
    container: pods.Container,
    sandbox: runtime.SandboxStatus,
    *,
    policy: str,
    again: bool = False,
) -> None:
    """Move one container on. `again`: run it in this sandbox whatever it did in an older one."""
    name = container.name
    last = latest(facts, name)
    if last is None:
        _start(facts, plan, name, attempt=_first_attempt(facts, name), failures=0)
    elif last.sandbox_id != sandbox.id:
        ended = last.state is runtime.State.EXITED
        if again or not ended or restart.wanted(policy=policy, exit_code=last.exit_code):
            _start(facts, plan, name, attempt=last.attempt + 1, failures=0)
    elif last.state is runtime.State.CREATED:
        # Half-made by an agent that was killed: its name must be free before it can be made again.
        plan.actions.append(RemoveContainer(id=last.id))
        _start(facts, plan, name, attempt=last.attempt, failures=marks.failures_before(last))
    elif last.state is runtime.State.EXITED:
        if _replaced(last, container):
            _start(facts, plan, name, attempt=last.attempt + 1, failures=0)
        elif restart.wanted(policy=policy, exit_code=last.exit_code):
            _restart(facts, plan, last)
    elif last.state is runtime.State.UNKNOWN:
        _stop(facts, plan, last, facts.now, "ContainerStatusUnknown", f"Container {name} is in an unknown state")
    else:
        _watch_over(facts, plan, container, last)


def _watch_over(facts: Facts, plan: Plan, container: pods.Container, last: runtime.ContainerStatus) -> None:
    """A running container: stop it when it must go, else run its hook."""
    grace = float(facts.pod.spec.terminationGracePeriodSeconds)
    check = facts.checks.get(last.id)
    if _replaced(last, container):
        message = f"Container {last.name} definition changed, will be restarted"
        _stop(facts, plan, last, facts.now + grace, "Killing", message)
    elif last.id in facts.hook_failures:
        message = f"FailedPostStartHook: {facts.hook_failures[last.id]}"
        _stop(facts, plan, last, facts.now + grace, "FailedPostStartHook", message)
    elif check is not None and check.failed:
        own = grace if check.grace is None else float(check.grace)
        _stop(facts, plan, last, facts.now + own, "Unhealthy", check.failed)
    elif last.id not in facts.hooked and last.id not in facts.stopping:
        plan.actions.append(RunHook(id=last.id, name=last.name))


def _restart(facts: Facts, plan: Plan, last: runtime.ContainerStatus) -> None:
    due = restart.due(last)
    if facts.now < due:
        text = (
            f"back-off {int(restart.delay(last))}s restarting failed container={last.name} "
            f"pod={facts.pod.metadata.name}_{facts.pod.metadata.namespace}({facts.pod.metadata.uid})"
        )
        reason = "CrashLoopBackOff"
        if last.reason == "StartError":
            reason, text = "RunContainerError", last.message
        elif last.id in facts.hook_failures:
            # The exit code is that of being stopped: the hook's words are what tells.
            reason, text = "PostStartHookError", f"PostStartHook failed: {facts.hook_failures[last.id]}; {text}"
        plan.waiting[last.name] = Hold(until=due, reason=reason, message=text)
        plan.wake(due)
        return
    _start(facts, plan, last.name, attempt=last.attempt + 1, failures=restart.failures(last))


def _start(facts: Facts, plan: Plan, name: str, *, attempt: int, failures: int) -> None:
    hold = facts.holds.get(name)
    if hold is not None and facts.now < hold.until:
        plan.waiting[name] = hold
        if hold.until != float("inf"):
            plan.wake(hold.until)
        return
    plan.actions.append(StartContainer(name=name, attempt=attempt, failures=failures))


def _stop(facts: Facts, plan: Plan, one: runtime.ContainerStatus, deadline: float, reason: str, message: str) -> None:
    under_way = facts.stopping.get(one.id)
    # A stop that is under way is only spoken to again to make it shorter.
    if under_way is not None and deadline > under_way - 0.5:
        return
    plan.actions.append(StopContainer(id=one.id, name=one.name, deadline=deadline, reason=reason, message=message))


def running(facts: Facts, name: str, sandbox: runtime.SandboxStatus) -> runtime.ContainerStatus | None:
    """The container of that name that runs in a sandbox."""
    last = _here(facts, name, sandbox)
    return last if last is not None and last.state is runtime.State.RUNNING else None


def _here(facts: Facts, name: str, sandbox: runtime.SandboxStatus) -> runtime.ContainerStatus | None:
    own = [one for one in facts.containers if one.name == name and one.sandbox_id == sandbox.id]
    return max(own, key=runtime.by_age, default=None)


def _replaced(last: runtime.ContainerStatus, container: pods.Container) -> bool:
    """Whether the container was made from an older definition."""
    made_from = last.annotations.get(marks.HASH, "")
    return bool(made_from) and made_from != marks.container_hash(container)


def _first_attempt(facts: Facts, name: str) -> int:
    """Nought, or one more than before: when the runtime has lost its containers, logs and the API know of them.

    The logs count as in Kubernetes, since what was reported may be of an earlier time.
    """
    status = facts.pod.status.find_container(name)
    known = [facts.logged[name]] if name in facts.logged else []
    if status is not None and (status.containerID or status.lastState.terminated is not None):
        known.append(status.restartCount)
    return max(known) + 1 if known else 0


def _tidy(facts: Facts, plan: Plan, sandbox: runtime.SandboxStatus) -> None:
    """Remove what nothing needs: the newest ended container of each name stays, for its log and exit code."""
    if plan.actions:
        return
    kept: set[str] = set()
    for name in {one.name for one in facts.containers}:
        own = sorted((one for one in facts.containers if one.name == name), key=runtime.by_age)
        ended = [one for one in own if one.state is runtime.State.EXITED]
        if own[-1].state is not runtime.State.EXITED:
            kept.update(one.id for one in ended[-1:] if one.sandbox_id == sandbox.id)
            surplus = ended[:-1]
        else:
            # The last one and the one before it: `logs --previous` reads that.
            surplus = ended[:-2]
            kept.update(one.id for one in ended[-1:])
        plan.actions += [RemoveContainer(id=one.id) for one in surplus]
    for old in facts.sandboxes:
        if old.id == sandbox.id:
            continue
        if not any(one.sandbox_id == old.id and one.id in kept for one in facts.containers):
            plan.actions += [StopSandbox(id=old.id), RemoveSandbox(id=old.id)]
