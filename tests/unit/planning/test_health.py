"""What is well, what is not, why, and what to do: on objects that are given."""

import datetime
from typing import Any

import pytest

from boxfleet.api import cluster, labels, meta, node, pod
from boxfleet.planning import advice, health, memories
from boxfleet.testing import views

NOT_READY = views.condition("False", "UnitsNotReady", "0 of 1 Units ready", ago=5)


def of_shop(pods: list[Any], units: list[Any], **more: Any) -> health.Part:
    world = health.World(
        boxes=[views.a_box(NOT_READY, *(one.metadata.name.removeprefix("shop-") for one in units))],
        units=units,
        pods=pods,
        **more,
    )
    return next(part for part in health.examine(world, now=views.NOW) if part.kind == "box")


def starting(short: str = "db") -> Any:
    return views.a_unit(short, views.condition("False", "InstancesNotReady", "0 of 1 instances ready", ago=5))


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("ErrImagePull", "image build"),
        ("ImagePullBackOff", "image import"),
        ("CrashLoopBackOff", "kubectl -n default logs shop-db-0 --previous"),
        ("CreateContainerConfigError", "ConfigMap or Secret"),
        ("RunContainerError", "command"),
    ],
)
def test_what_time_does_not_mend_is_bad_at_once_and_has_advice(reason: str, advice: str) -> None:
    sick = views.a_pod("shop-db-0", containerStatuses=[views.waiting(reason, "words")])
    part = of_shop([sick], [starting()])
    assert part.level is health.Level.BAD
    assert [(each.subject, each.reason) for each in part.troubles] == [("pod default/shop-db-0", reason)]
    assert "words" in part.troubles[0].message and advice in part.troubles[0].advice


@pytest.mark.parametrize(
    ("reason", "code", "said", "advice"),
    [("OOMKilled", 137, "OOMKilled", "more memory"), ("Error", 3, "Failed", "read its last words")],
)
def test_a_failed_pod_is_not_on_its_way_and_says_what_ended_it(reason: str, code: int, said: str, advice: str) -> None:
    ended = {"name": "main", "state": {"terminated": {"exitCode": code, "reason": reason}}}
    alone = views.a_pod(
        "alone", of="", phase="Failed", containerStatuses=[ended], conditions=[views.condition("False", ago=1)]
    )
    (part,) = health.examine(health.World(pods=[alone]), now=views.NOW)
    (trouble,) = part.troubles
    assert (part.level, part.summary, trouble.reason) == (health.Level.BAD, said, said)
    assert f"exit code {code}" in trouble.message and advice in trouble.advice


def test_readiness_before_a_change_does_not_count() -> None:
    one, box = (
        views.a_unit("db", views.condition("True", "Ready", ago=500), of=""),
        views.a_box(views.condition("True", "UnitsReady", ago=500)),
    )
    one.metadata.generation = box.metadata.generation = 2
    parts = health.examine(health.World(boxes=[box], units=[one]), now=views.NOW)
    assert [(part.level, part.troubles[0].reason) for part in parts] == [(health.Level.WAITING, "Changing")] * 2
    one.status.observedGeneration = box.status.observedGeneration = 2
    parts = health.examine(health.World(boxes=[box], units=[one]), now=views.NOW)
    assert [part.level for part in parts] == [health.Level.WELL] * 2


def test_a_crash_loop_says_how_it_ended() -> None:
    status = views.waiting("CrashLoopBackOff", "back-off 40s")
    status["lastState"] = {"terminated": {"exitCode": 3, "reason": "Error"}}
    part = of_shop([views.a_pod("shop-db-0", containerStatuses=[status])], [starting()])
    assert "ended with Error 3" in part.troubles[0].message


def test_a_failing_probe_is_told_by_its_event_and_becomes_bad_with_time() -> None:
    for ago, level in ((5, health.Level.WAITING), (500, health.Level.BAD)):
        sick = views.a_pod("shop-db-0", conditions=[views.condition("False", "ContainersNotReady", ago=ago)])
        said = views.warning(sick, "Unhealthy", "Readiness probe failed: refused", count=7)
        part = of_shop([sick], [starting()], events=[said])
        assert part.level is level
        assert part.troubles[0].reason == "Unhealthy"
        assert part.troubles[0].message == "Readiness probe failed: refused (7 times)"
        assert "probe looks" in part.troubles[0].advice


def test_what_cannot_be_placed_says_what_is_short() -> None:
    bound = views.condition("False", "Unschedulable", "0/1 nodes: insufficient memory", type="PodScheduled")
    part = of_shop([views.a_pod("shop-db-0", node="", phase="Pending", conditions=[bound])], [starting()])
    assert part.level is health.Level.BAD and "add a host" in part.troubles[0].advice


def test_a_taken_port_is_named_whatever_the_reason() -> None:
    sick = views.a_pod("shop-db-0", phase="Pending")
    said = views.warning(sick, "FailedCreatePodSandBox", "cannot map 8080: bind: address already in use")
    part = of_shop([sick], [starting()], events=[said])
    assert "ss -ltnp" in part.troubles[0].advice


@pytest.mark.parametrize("reason", ["AddressPoolFull", "FilesNotRendered"])
def test_a_unit_without_instances_says_why(reason: str) -> None:
    part = of_shop([], [views.a_unit("db", views.condition("False", reason, "words"))])
    assert (part.level, part.troubles[0].subject) == (health.Level.BAD, "unit default/shop-db")
    assert part.troubles[0].advice


def test_one_that_waits_for_another_does_not_hide_the_cause() -> None:
    web = views.a_unit("web", views.condition("False", "WaitingForDependency", "waits for Unit db to be Ready", ago=5))
    sick = views.a_pod("shop-db-0", containerStatuses=[views.waiting("ImagePullBackOff", "no such image")])
    part = of_shop([sick], [starting(), web])
    assert [each.level for each in part.troubles] == [health.Level.BAD, health.Level.WAITING]


def test_a_ready_box_is_well_whatever_happened_before() -> None:
    one = views.ready_pod("shop-db-0")
    world = health.World(
        boxes=[views.a_box(views.condition("True"), "db")],
        units=[views.a_unit("db", views.condition("True"))],
        pods=[one],
        events=[views.warning(one, "Unhealthy", "once")],
    )
    assert health.worst(health.examine(world, now=views.NOW)) is health.Level.WELL


def test_a_namesakes_event_is_not_this_ones() -> None:
    sick, before = views.a_pod("shop-db-0"), views.a_pod("shop-db-0")
    before.metadata.uid = "another"
    assert health.last_warning(sick, [views.warning(before, "Unhealthy", "old")]) is None


def test_nodes_say_what_ails_them() -> None:
    good = views.a_node(views.condition("True"), views.condition("False", type="MemoryPressure"))
    assert health.of_node(good, []).level is health.Level.WELL
    sick = views.a_node(views.condition("False", "RuntimeDown", "containerd is away"))
    part = health.of_node(sick, [])
    assert part.troubles[0].message == "containerd is away" and "STATE/logs/agent" in part.troubles[0].advice
    busy = views.a_node(views.condition("True"), views.condition("True", "ProcessorsAreBusy", type="CPUPressure"))
    assert health.of_node(busy, []).level is health.Level.WELL
    off = views.a_node(views.condition("True"), views.condition("True", "ClockIsOff", "20 s", type="ClockProblem"))
    (trouble,) = health.of_node(off, []).troubles
    assert (trouble.reason, trouble.message) == ("ClockProblem is True", "20 s") and "set-ntp" in trouble.advice
    full = views.a_node(views.condition("True"), views.condition("True", "Low", "3% free", type="DiskPressure"))
    assert health.of_node(full, []).level is health.Level.BAD


def test_what_ran_before_a_stop_is_a_memory() -> None:
    def pod_since(ago: float) -> Any:
        status = {"name": "main", "state": {"running": {"startedAt": views.stamp(ago)}}, "ready": True}
        return views.ready_pod("shop-db-0", containerStatuses=[status])

    stopped = views.NOW - datetime.timedelta(seconds=60)
    for ago, level in ((100, health.Level.WAITING), (20, health.Level.WELL)):
        world = health.World(
            boxes=[views.a_box(views.condition("True"), "db")],
            units=[views.a_unit("db", views.condition("True"))],
            pods=[pod_since(ago)],
        )
        seen = health.examine(memories.without(world, since=stopped), now=stopped)
        assert health.worst(seen) is level


def test_a_failed_init_container_is_named_in_the_command_that_shows_its_words() -> None:
    sick = views.a_pod("alone", of="", initContainerStatuses=[views.waiting("CrashLoopBackOff", name="prepare")])
    sick.spec.containers = [pod.Container(name="main")]
    part = health.of_pod(sick, [], now=views.NOW)
    assert part.troubles[0].advice.endswith("logs alone -c prepare --previous")


def test_a_pod_that_ended_badly_says_how_and_is_not_on_its_way() -> None:
    ended = {"name": "main", "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}
    sick = views.a_pod("alone", of="", phase="Failed", containerStatuses=[ended])
    part = health.of_pod(sick, [], now=views.NOW)
    assert part.level is health.Level.BAD
    assert part.troubles[0].message == "container main ended with exit code 3"
    assert "logs alone" in part.troubles[0].advice


def test_a_claim_that_is_not_there_is_not_a_lack_of_room() -> None:
    message = 'persistentvolumeclaim "data" not found'
    assert advice.of("Unschedulable", message) == "make the PersistentVolumeClaim, or correct `claimName`"


def test_without_a_node_or_a_pool_nothing_is_well() -> None:
    seen = health.missing(health.World())
    assert [(part.kind, part.level) for part in seen] == [("node", health.Level.BAD), ("pool", health.Level.BAD)]
    assert all(part.troubles[0].advice for part in seen)


def mirrored(name: str) -> node.Node:
    return node.Node(metadata=meta.ObjectMeta(name=name, labels={labels.MIRRORED: "true", labels.CLUSTER: "east"}))


def joined(**status: Any) -> cluster.Cluster:
    spec = cluster.ClusterSpec(type=cluster.ClusterType.KUBERNETES)
    return cluster.Cluster(
        metadata=meta.ObjectMeta(name="east", creationTimestamp=views.NOW.isoformat()),
        spec=spec,
        status=cluster.ClusterStatus(nodes=1, readyNodes=1, version="v1", **status),
    )


def test_a_cluster_of_others_says_itself_how_it_is() -> None:
    well = joined(conditions=[meta.Condition(type="Ready", status="True", reason="Reachable", message="it answers")])
    one = views.a_pod("shop-db-0")
    one.metadata.labels[labels.CLUSTER] = "east"
    part = health.examine(health.World(clusters=[well], pods=[one]), now=views.NOW)[0]
    assert (part.kind, part.level, part.summary) == (
        "cluster",
        health.Level.WELL,
        "1 instances, 1 of 1 hosts ready, v1",
    )
    denied = joined(
        conditions=[meta.Condition(type="Ready", status="False", reason="Denied", message="it does not let in")]
    )
    # Its hosts are not ours to look after, and none of ours either.
    world = health.World(clusters=[denied], nodes=[mirrored("east.a")])
    [part] = health.examine(world, now=views.NOW)
    assert (part.kind, part.level) == ("cluster", health.Level.BAD)
    assert (part.troubles[0].message, "Secret" in part.troubles[0].advice) == ("it does not let in", True)
    assert [each.kind for each in health.missing(world)] == ["node", "pool"]
    [part] = health.examine(health.World(clusters=[joined()]), now=views.NOW)
    assert part.level is health.Level.WAITING


def test_what_a_cluster_refuses_is_no_lack_of_room() -> None:
    assert advice.of("Unschedulable", "Cluster east cannot take it: spec.hostname: leave it out") == ""
