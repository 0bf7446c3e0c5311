"""What the API shows of a Pod."""

from typing import Any

from tests.unit.planning import test_pod_actions as given

from boxfleet.api import meta
from boxfleet.api import pod as pods
from boxfleet.planning import pod_actions, pod_status
from boxfleet.ports import runtime


def status(wanted: pods.Pod, **facts: Any) -> pods.PodStatus:
    facts.setdefault("sandboxes", [given.sandbox()])
    facts.setdefault("hooked", frozenset(one.id for one in facts.get("containers", [])))
    found = pod_actions.Facts(pod=wanted, now=given.NOW, **facts)
    return pod_status.build(found, pod_actions.decide(found), pod_status.Extras(host_ip="192.0.2.1"))


def condition(found: pods.PodStatus, kind: str) -> meta.Condition:
    one = meta.find_condition(found.conditions, kind)
    assert one is not None
    return one


def test_a_new_pod_is_pending() -> None:
    found = status(given.pod(), sandboxes=[])
    assert found.phase == "Pending"
    assert found.containerStatuses[0].state.waiting is not None
    assert found.containerStatuses[0].state.waiting.reason == "ContainerCreating"
    assert condition(found, "PodScheduled").status == "True"
    assert condition(found, "Ready").reason == "ContainersNotReady"


def test_a_running_pod_is_ready_with_its_address() -> None:
    found = status(given.pod(), containers=[given.container()], checks={"main0": given.WELL})
    assert (found.phase, found.podIP, found.hostIP) == ("Running", "10.0.0.2", "192.0.2.1")
    assert condition(found, "Ready").status == "True"
    assert found.containerStatuses[0].ready


def test_a_stop_takes_ready_away_at_once() -> None:
    stop = pod_actions.Stop(deadline=given.NOW + 30)
    found = status(given.pod(), containers=[given.container()], checks={"main0": given.WELL}, stop=stop)
    assert condition(found, "Ready").status == "False"


def test_a_gate_of_somebody_else_holds_ready_back_and_is_kept() -> None:
    wanted = given.pod(readinessGates=[{"conditionType": "example.com/ok"}])
    found = status(wanted, containers=[given.container()], checks={"main0": given.WELL})
    assert condition(found, "ContainersReady").status == "True"
    assert condition(found, "Ready").reason == "ReadinessGatesNotReady"
    wanted.status.conditions = [meta.Condition(type="example.com/ok", status="True")]
    found = status(wanted, containers=[given.container()], checks={"main0": given.WELL})
    assert condition(found, "Ready").status == "True"
    assert condition(found, "example.com/ok").status == "True"


def test_back_off_shows_how_it_ended_last() -> None:
    ended = given.container(state=runtime.State.EXITED, exit_code=3, attempt=1, failures=1)
    found = status(given.pod(), containers=[ended]).containerStatuses[0]
    assert found.state.waiting is not None
    assert found.state.waiting.reason == "CrashLoopBackOff"
    assert found.lastState.terminated is not None
    assert (found.lastState.terminated.exitCode, found.restartCount) == (3, 1)


def test_a_container_that_was_stopped_with_its_host_counts_as_restarted() -> None:
    wanted = given.pod()
    wanted.status = status(given.pod(), containers=[given.container(attempt=2)], checks={"main2": given.WELL})
    wanted.status = status(wanted, containers=[])
    waiting = wanted.status.containerStatuses[0]
    assert waiting.state.waiting is not None and waiting.lastState.terminated is not None
    assert (waiting.restartCount, waiting.lastState.terminated.reason) == (2, "ContainerStatusUnknown")
    # Told again before it starts, it says the same.
    wanted.status = status(wanted, containers=[])
    assert wanted.status.containerStatuses[0] == waiting
    later = status(wanted, containers=[given.container(attempt=3)], checks={"main3": given.WELL}).containerStatuses[0]
    assert (later.restartCount, later.lastState) == (3, waiting.lastState)


def test_containers_that_were_stopped_with_their_host_are_remembered() -> None:
    wanted = given.pod(initContainers=[{"name": "a", "image": "a:1"}])
    ended = [given.container(state=runtime.State.EXITED, exit_code=code, attempt=code) for code in (1, 4, 3)]
    extras = pod_status.Extras(host_ip="", messages={"main4": "last words"})
    wanted.status = pod_status.stopped(wanted, ended, extras)
    assert wanted.status.initContainerStatuses[0].lastState.terminated is None
    waiting = status(wanted, sandboxes=[]).containerStatuses[0]
    assert waiting.state.waiting is not None and waiting.lastState.terminated is not None
    last = waiting.lastState.terminated
    assert (waiting.restartCount, last.exitCode, last.message, last.reason) == (4, 4, "last words", "Error")
    started = status(wanted, containers=[given.container("a"), given.container(attempt=5)]).containerStatuses[0]
    assert (started.restartCount, started.lastState) == (5, waiting.lastState)


def test_a_restarted_container_remembers_the_one_before() -> None:
    before = given.container(state=runtime.State.EXITED, exit_code=137)
    before.reason = "OOMKilled"
    found = status(given.pod(), containers=[before, given.container(attempt=1)], checks={"main1": given.WELL})
    one = found.containerStatuses[0]
    assert one.lastState.terminated is not None
    assert (one.lastState.terminated.reason, one.restartCount) == ("OOMKilled", 1)
    wanted = given.pod()
    wanted.status = found
    later = status(wanted, containers=[given.container(attempt=1)], checks={"main1": given.WELL})
    assert later.containerStatuses[0].lastState == one.lastState


def test_main_containers_wait_for_initialization() -> None:
    wanted = given.pod(initContainers=[{"name": "a", "image": "a:1"}])
    found = status(wanted, containers=[given.container("a")])
    assert found.phase == "Pending"
    assert found.containerStatuses[0].state.waiting is not None
    assert found.containerStatuses[0].state.waiting.reason == "PodInitializing"
    assert condition(found, "Initialized").status == "False"


def test_the_end_of_a_pod() -> None:
    wanted = given.pod(restartPolicy="Never")
    done = status(wanted, containers=[given.container(state=runtime.State.EXITED)])
    assert (done.phase, condition(done, "Ready").reason) == ("Succeeded", "PodCompleted")
    failed = status(wanted, containers=[given.container(state=runtime.State.EXITED, exit_code=9)])
    assert failed.phase == "Failed"
    stop = pod_actions.Stop(deadline=given.NOW, reason="DeadlineExceeded", message="too long")
    late = status(given.pod(), containers=[given.container(state=runtime.State.EXITED, exit_code=143)], stop=stop)
    assert (late.phase, late.reason) == ("Failed", "DeadlineExceeded")
    assert meta.find_condition(late.conditions, "DisruptionTarget") is None
    stop = pod_actions.Stop(deadline=given.NOW, reason="Evicted", message="no room")
    gone = status(given.pod(), containers=[given.container(state=runtime.State.EXITED, exit_code=143)], stop=stop)
    target = meta.find_condition(gone.conditions, "DisruptionTarget")
    assert target is not None and (target.status, target.reason, target.message) == (
        "True", "TerminationByKubelet", "no room",
    )  # fmt: skip


def test_transition_times_move_only_with_the_status() -> None:
    wanted = given.pod()
    ready = meta.Condition(type="Ready", status="True", lastTransitionTime="2020-01-01T00:00:00Z")
    wanted.status.conditions = [ready]
    found = status(wanted, containers=[given.container()], checks={"main0": given.WELL})
    assert condition(found, "Ready").lastTransitionTime == "2020-01-01T00:00:00Z"
    assert condition(found, "Initialized").lastTransitionTime != "2020-01-01T00:00:00Z"


def test_ephemeral_containers_are_shown_and_count_for_nothing() -> None:
    wanted = given.pod(ephemeralContainers=[given.LOOK])
    main = given.container()
    before = status(wanted, containers=[main], checks={"main0": given.WELL})
    [look] = before.ephemeralContainerStatuses
    assert look.state.waiting is not None
    assert look.state.waiting.reason == "ContainerCreating"
    hold = pod_actions.Hold(until=given.NOW + 9, reason="ErrImagePull", message="no such image")
    held = status(wanted, containers=[main], checks={"main0": given.WELL}, holds={"look": hold})
    assert held.ephemeralContainerStatuses[0].state.waiting == pods.ContainerStateWaiting(
        reason="ErrImagePull", message="no such image"
    )
    running = status(wanted, containers=[main, given.container("look")], checks={"main0": given.WELL})
    [look] = running.ephemeralContainerStatuses
    assert look.state.running is not None
    assert (look.ready, look.started, look.restartCount, look.containerID) == (False, None, 0, "containerd://look0")
    gone = given.container("look", runtime.State.EXITED, exit_code=3)
    ended = status(wanted, containers=[main, gone], checks={"main0": given.WELL})
    [look] = ended.ephemeralContainerStatuses
    assert look.state.terminated is not None
    assert look.state.terminated.exitCode == 3
    for found in (before, held, running, ended):
        assert found.phase == "Running"
        assert condition(found, "Ready").status == "True"
        assert [one.name for one in found.every_container] == ["main"]


def test_an_ephemeral_container_that_was_lost_has_ended() -> None:
    wanted = given.pod(ephemeralContainers=[given.LOOK])
    running = pods.ContainerState(running=pods.ContainerStateRunning(startedAt="2030-01-01T00:00:00Z"))
    wanted.status.ephemeralContainerStatuses = [
        pods.ContainerStatus(name="look", containerID="containerd://x", state=running)
    ]
    [look] = status(wanted, containers=[given.container()]).ephemeralContainerStatuses
    assert look.state.terminated is not None
    assert look.state.terminated.reason == "ContainerStatusUnknown"
    wanted.status.ephemeralContainerStatuses = [look]
    assert status(wanted, containers=[given.container()]).ephemeralContainerStatuses == [look]
