"""What is to be done next for a Pod, from what is there."""

from typing import Any

import msgspec

from boxfleet.api import meta
from boxfleet.api import pod as pods
from boxfleet.planning import marks, pod_actions, probing
from boxfleet.ports import runtime

NOW = 1_000_000.0
WELL = probing.Check(started=True, ready=True)


def pod(**spec: Any) -> pods.Pod:
    spec.setdefault("containers", [{"name": "main", "image": "a:1"}])
    return pods.Pod(
        metadata=meta.ObjectMeta(name="p", namespace="n", uid="u"), spec=msgspec.convert(spec, pods.PodSpec)
    )


def sandbox(*, ready: bool = True, attempt: int = 0) -> runtime.SandboxStatus:
    return runtime.SandboxStatus(
        id=f"s{attempt}",
        name="p",
        namespace="n",
        uid="u",
        attempt=attempt,
        ready=ready,
        created_at=attempt,
        ip="10.0.0.2",
    )


def container(
    name: str = "main",
    state: runtime.State = runtime.State.RUNNING,
    *,
    attempt: int = 0,
    exit_code: int = 0,
    ran: float = 1.0,
    ended: float = NOW,
    failures: int = 0,
    in_sandbox: str = "s0",
    image: str = "a:1",
) -> runtime.ContainerStatus:
    return runtime.ContainerStatus(
        id=f"{name}{attempt}",
        sandbox_id=in_sandbox,
        name=name,
        attempt=attempt,
        image=image,
        image_ref=image,
        state=state,
        created_at=attempt,
        exit_code=exit_code,
        started_at=int((ended - ran) * 1e9),
        finished_at=int(ended * 1e9) if state is runtime.State.EXITED else 0,
        annotations={
            marks.FAILURES: str(failures),
            marks.HASH: marks.container_hash(pods.Container(name=name, image=image)),
        },
    )


def decide(wanted: pods.Pod, **facts: Any) -> pod_actions.Plan:
    facts.setdefault("sandboxes", [sandbox()])
    facts.setdefault("hooked", frozenset(one.id for one in facts.get("containers", [])))
    return pod_actions.decide(pod_actions.Facts(pod=wanted, now=facts.pop("now", NOW), **facts))


def test_first_the_sandbox_then_the_containers() -> None:
    assert decide(pod(), sandboxes=[]).actions == [pod_actions.StartSandbox(attempt=0)]
    assert decide(pod()).actions == [pod_actions.StartContainer(name="main", attempt=0)]


def test_what_runs_is_left_alone() -> None:
    plan = decide(pod(), containers=[container()], checks={"main0": WELL})
    assert plan.actions == []
    assert plan.wake_at is None


def test_init_containers_one_by_one() -> None:
    wanted = pod(initContainers=[{"name": "a", "image": "a:1"}, {"name": "b", "image": "a:1"}])
    assert decide(wanted).actions == [pod_actions.StartContainer(name="a", attempt=0)]
    assert decide(wanted, containers=[container("a")]).actions == []
    ended = container("a", runtime.State.EXITED)
    assert decide(wanted, containers=[ended]).actions == [pod_actions.StartContainer(name="b", attempt=0)]
    both = [ended, container("b", runtime.State.EXITED)]
    assert decide(wanted, containers=both).actions == [pod_actions.StartContainer(name="main", attempt=0)]


def test_a_sidecar_must_have_started_before_the_next_begins() -> None:
    wanted = pod(initContainers=[{"name": "a", "image": "a:1", "restartPolicy": "Always"}])
    assert decide(wanted, containers=[container("a")], checks={"a0": probing.Check()}).actions == []
    plan = decide(wanted, containers=[container("a")], checks={"a0": WELL})
    assert plan.actions == [pod_actions.StartContainer(name="main", attempt=0)]


def test_a_failed_init_container_fails_a_pod_that_never_restarts() -> None:
    wanted = pod(restartPolicy="Never", initContainers=[{"name": "a", "image": "a:1"}])
    plan = decide(wanted, containers=[container("a", runtime.State.EXITED, exit_code=1)])
    assert plan.outcome == "Failed"
    assert plan.actions == [pod_actions.StopSandbox(id="s0")]


def test_the_first_restart_is_immediate_and_the_second_is_not() -> None:
    first = decide(pod(), containers=[container(state=runtime.State.EXITED, exit_code=1)])
    assert first.actions == [pod_actions.StartContainer(name="main", attempt=1, failures=1)]
    again = container(state=runtime.State.EXITED, exit_code=1, attempt=1, failures=1)
    plan = decide(pod(), containers=[again])
    assert plan.actions == []
    assert plan.wake_at == NOW + 10
    assert plan.waiting["main"].reason == "CrashLoopBackOff"
    later = decide(pod(), containers=[again], now=NOW + 10)
    assert later.actions == [pod_actions.StartContainer(name="main", attempt=2, failures=2)]


def test_ten_good_minutes_forget_failures() -> None:
    ended = container(state=runtime.State.EXITED, exit_code=1, attempt=7, failures=7, ran=601)
    assert decide(pod(), containers=[ended]).actions == [pod_actions.StartContainer(name="main", attempt=8, failures=1)]


def test_policies_decide_what_comes_back() -> None:
    good, bad = container(state=runtime.State.EXITED), container(state=runtime.State.EXITED, exit_code=2)
    assert decide(pod(restartPolicy="Never"), containers=[bad]).outcome == "Failed"
    assert decide(pod(restartPolicy="OnFailure"), containers=[good]).outcome == "Succeeded"
    assert decide(pod(restartPolicy="OnFailure"), containers=[bad]).outcome == ""


def test_a_half_made_container_is_made_again_with_the_same_attempt() -> None:
    plan = decide(pod(), containers=[container(state=runtime.State.CREATED, attempt=3, failures=2)])
    assert plan.actions == [
        pod_actions.RemoveContainer(id="main3"), pod_actions.StartContainer(name="main", attempt=3, failures=2)
    ]  # fmt: skip


def test_a_dead_sandbox_is_replaced_after_its_network_is_free() -> None:
    plan = decide(pod(), sandboxes=[sandbox(ready=False)], containers=[container(state=runtime.State.EXITED)])
    assert plan.actions == [pod_actions.StopSandbox(id="s0"), pod_actions.StartSandbox(attempt=1)]
    next_one = decide(
        pod(), sandboxes=[sandbox(ready=False), sandbox(attempt=1)], containers=[container(state=runtime.State.EXITED)]
    )
    assert next_one.actions == [pod_actions.StartContainer(name="main", attempt=1)]
    tidy = decide(
        pod(),
        sandboxes=[sandbox(ready=False), sandbox(attempt=1)],
        containers=[container(state=runtime.State.EXITED), container(attempt=1, in_sandbox="s1")],
    )
    assert tidy.actions == [pod_actions.StopSandbox(id="s0"), pod_actions.RemoveSandbox(id="s0")]


def test_a_container_that_survived_its_sandbox_is_stopped_first() -> None:
    plan = decide(pod(), sandboxes=[sandbox(ready=False)], containers=[container()])
    assert [type(one) for one in plan.actions] == [pod_actions.StopContainer]


def test_a_failed_probe_stops_the_container_with_its_own_grace() -> None:
    failed = probing.Check(started=True, failed="Container main failed liveness probe", grace=3)
    plan = decide(pod(), containers=[container()], checks={"main0": failed})
    (action,) = plan.actions
    assert isinstance(action, pod_actions.StopContainer)
    assert action.deadline == NOW + 3
    assert decide(pod(), containers=[container()], checks={"main0": failed}, stopping={"main0": NOW + 3}).actions == []


def test_another_image_restarts_in_place_whatever_the_policy() -> None:
    wanted = pod(restartPolicy="Never", containers=[{"name": "main", "image": "a:2"}])
    (action,) = decide(wanted, containers=[container()], checks={"main0": WELL}).actions
    assert isinstance(action, pod_actions.StopContainer)
    plan = decide(wanted, containers=[container(state=runtime.State.EXITED, exit_code=143)])
    assert plan.actions == [pod_actions.StartContainer(name="main", attempt=1)]


def test_a_stop_ends_main_containers_then_sidecars_from_last_to_first() -> None:
    wanted = pod(
        initContainers=[
            {"name": "a", "image": "a:1", "restartPolicy": "Always"},
            {"name": "b", "image": "a:1", "restartPolicy": "Always"},
        ]
    )
    stop = pod_actions.Stop(deadline=NOW + 30)
    alive = [container("a"), container("b"), container()]
    names = []
    while alive:
        plan = decide(wanted, containers=alive, stop=stop)
        (action,) = plan.actions
        assert isinstance(action, pod_actions.StopContainer)
        names.append(action.name)
        alive = [one for one in alive if one.id != action.id]
    assert names == ["main", "b", "a"]
    assert decide(wanted, stop=stop).actions == [pod_actions.StopSandbox(id="s0")]
    assert decide(wanted, stop=stop, sandboxes=[sandbox(ready=False)]).ended


def test_a_shorter_deadline_is_passed_on_and_a_longer_is_not() -> None:
    for deadline, actions in ((NOW + 5, 1), (NOW + 60, 0)):
        stop = pod_actions.Stop(deadline=deadline)
        plan = decide(pod(), containers=[container()], stopping={"main0": NOW + 30}, stop=stop)
        assert len(plan.actions) == actions


def test_a_hold_is_respected_until_its_time() -> None:
    hold = pod_actions.Hold(until=NOW + 5, reason="CreateContainerConfigError", message="none")
    plan = decide(pod(), holds={"main": hold})
    assert (plan.actions, plan.wake_at, plan.waiting) == ([], NOW + 5, {"main": hold})
    assert decide(pod(), holds={"main": hold}, now=NOW + 5).actions


def test_attempts_go_on_when_the_runtime_lost_its_containers() -> None:
    wanted = pod()
    wanted.status.containerStatuses = [pods.ContainerStatus(name="main", restartCount=4, containerID="containerd://x")]
    assert decide(wanted).actions == [pod_actions.StartContainer(name="main", attempt=5)]
    # What was reported may be of an earlier time than the newest log.
    assert decide(wanted, logged={"main": 6}).actions == [pod_actions.StartContainer(name="main", attempt=7)]
    assert decide(pod(), logged={"main": 0}).actions == [pod_actions.StartContainer(name="main", attempt=1)]


def test_only_the_newest_ended_container_is_kept() -> None:
    dead = [container(state=runtime.State.EXITED, attempt=number) for number in range(3)]
    plan = decide(pod(), containers=[*dead, container(attempt=3)], checks={"main3": WELL})
    assert plan.actions == [pod_actions.RemoveContainer(id="main0"), pod_actions.RemoveContainer(id="main1")]


def test_an_ended_pod_stays_ended() -> None:
    wanted = pod(restartPolicy="Never")
    wanted.status.phase = "Succeeded"
    assert decide(wanted, sandboxes=[]).ended


LOOK = {"name": "look", "image": "tools:1"}


def test_an_ephemeral_container_joins_without_waiting_for_the_others() -> None:
    wanted = pod(ephemeralContainers=[LOOK], initContainers=[{"name": "first", "image": "a:1"}])
    running = container("first")
    plan = decide(wanted, containers=[running], checks={"first0": WELL})
    assert plan.actions == [pod_actions.StartContainer(name="look", attempt=0)]


def test_an_ephemeral_container_is_never_started_again() -> None:
    wanted = pod(ephemeralContainers=[LOOK])
    well = {"main0": WELL}
    for there in (
        container("look", image="tools:1"),
        container("look", runtime.State.EXITED, exit_code=1),
        container("look", runtime.State.EXITED, in_sandbox="older"),
    ):
        assert decide(wanted, containers=[container(), there], checks=well).actions == []
    # The runtime has lost it: its log, or what was reported, tells that it ran.
    assert decide(wanted, containers=[container()], checks=well, logged={"look": 0}).actions == []
    wanted.status.ephemeralContainerStatuses = [pods.ContainerStatus(name="look", containerID="containerd://x")]
    assert decide(wanted, containers=[container()], checks=well).actions == []


def test_a_half_made_ephemeral_container_is_made_anew() -> None:
    half = container("look", runtime.State.CREATED)
    assert decide(pod(ephemeralContainers=[LOOK]), containers=[container(), half], checks={"main0": WELL}).actions == [
        pod_actions.RemoveContainer(id="look0"),
        pod_actions.StartContainer(name="look", attempt=0),
    ]


def test_an_ephemeral_container_waits_for_its_target() -> None:
    wanted = pod(ephemeralContainers=[LOOK | {"targetContainerName": "main"}], restartPolicy="OnFailure")
    crashed = container(state=runtime.State.EXITED, exit_code=1)
    plan = decide(wanted, containers=[crashed])
    assert plan.actions == [pod_actions.StartContainer(name="main", attempt=1, failures=1)]
    assert plan.waiting["look"].message == "waits for its target container main to run"
    plan = decide(wanted, containers=[container()], checks={"main0": WELL})
    assert plan.actions == [pod_actions.StartContainer(name="look", attempt=0)]


def test_an_ephemeral_container_decides_nothing_and_ends_with_the_pod() -> None:
    wanted = pod(ephemeralContainers=[LOOK], restartPolicy="Never")
    look = container("look")
    plan = decide(wanted, containers=[container(state=runtime.State.EXITED), look])
    assert plan.outcome == "Succeeded"
    [stop] = plan.actions
    assert isinstance(stop, pod_actions.StopContainer)
    assert stop.id == "look0"
    failed = container("look", runtime.State.EXITED, exit_code=1)
    assert decide(wanted, containers=[container(), failed], checks={"main0": WELL}).outcome == ""
