"""What the scheduler knows of nodes and Pods, from objects as the caches hand them over."""

import msgspec

from boxfleet.api import node, pod
from boxfleet.planning import node_places, scheduling
from boxfleet.scheduler import state


def host(name: str, *, zone: str = "", annotations: dict[str, str] | None = None, **amounts: str) -> node.Node:
    return msgspec.convert(
        {
            "metadata": {
                "name": name,
                "labels": {"kubernetes.io/hostname": name} | ({"zone": zone} if zone else {}),
                "annotations": annotations or {},
            },
            "status": {
                "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "10"} | amounts,
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        },
        node.Node,
    )


def instance(name: str, *, on: str = "", requests: dict[str, str] | None = None, **spec: object) -> pod.Pod:
    return msgspec.convert(
        {
            "metadata": {
                "name": name,
                "namespace": "ns",
                "uid": f"uid-{name}",
                "labels": {"app": name.partition("-")[0]},
            },
            "spec": {
                "nodeName": on,
                "containers": [{"name": "c", "resources": {"requests": requests or {"cpu": "1"}}}],
                **spec,
            },
        },
        pod.Pod,
    )


def fleet(*nodes: node.Node) -> state.State:
    known = state.State(cluster="local")
    for each in nodes:
        assert known.node_changed(each.metadata.name, each)
    return known


def place(known: state.State, subject: pod.Pod) -> str:
    """Decide for a Pod and count it, as the binding loop does."""
    ask = scheduling.ask_of(subject)
    choice = scheduling.choose(ask, known.places.values())
    if choice.place:
        known.assume(subject.key, uid=subject.metadata.uid, node=choice.place, ask=ask)
    return choice.place or choice.why_not


SPREAD = {
    "maxSkew": 1,
    "topologyKey": "zone",
    "whenUnsatisfiable": "DoNotSchedule",
    "labelSelector": {"matchLabels": {"app": "web"}},
}
ALONE = {
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}}
        ]
    }
}


def test_pods_are_spread_over_zones_as_they_ask() -> None:
    known = fleet(host("a", zone="1"), host("b", zone="1"), host("c", zone="2"), host("d"))
    found = [place(known, instance(f"web-{n}", topologySpreadConstraints=[SPREAD])) for n in range(6)]
    assert sorted(found) == ["a", "b", "b", "c", "c", "c"] or sorted(found) == ["a", "a", "b", "c", "c", "c"]
    known.node_changed("c", host("c", zone="2", cpu="3"))
    assert place(known, instance("web-7", topologySpreadConstraints=[SPREAD])) in ("a", "b")
    assert place(known, instance("web-8", topologySpreadConstraints=[SPREAD])) == (
        "0/4 nodes are available: 1 Insufficient cpu (asks 1, free 0), "
        "2 node(s) didn't match pod topology spread constraints, "
        "1 node(s) didn't match pod topology spread constraints (missing required label)."
    )


def test_anti_affinity_holds_for_those_who_come_later_too() -> None:
    known = fleet(host("a"), host("b"))
    assert place(known, instance("db", affinity=ALONE)) == "a"
    assert place(known, instance("web-0")) == "b"
    assert place(known, instance("web-1")) == "b"
    there = {"kubernetes.io/hostname": "b"}
    refused = place(known, instance("db-1", affinity=ALONE, nodeSelector=there))
    assert "didn't match pod anti-affinity rules" in refused
    gone = instance("db", on="a", affinity=ALONE)
    known.pod_changed(gone.key, gone)
    assert known.pod_changed(gone.key, None)
    assert place(known, instance("web-2")) == "a"


def test_a_pod_that_gets_another_label_is_meant_by_other_terms() -> None:
    known = fleet(host("a"))
    other = instance("other", on="a")
    known.pod_changed(other.key, other)
    assert not known.pod_changed(other.key, other)
    assert scheduling.choose(scheduling.ask_of(instance("x", affinity=ALONE)), known.places.values()).place == "a"
    web = msgspec.structs.replace(other, metadata=msgspec.structs.replace(other.metadata, labels={"app": "web"}))
    assert known.pod_changed(web.key, web)
    assert "anti-affinity" in place(known, instance("x", affinity=ALONE))


def test_what_was_bound_counts_on_a_node_that_comes_later() -> None:
    known = state.State(cluster="local")
    bound = instance("web-0", on="a", requests={"cpu": "3"})
    known.pod_changed(bound.key, bound)
    known.node_changed("a", host("a"))
    assert "Insufficient cpu" in place(known, instance("web-1", requests={"cpu": "2"}))
    known.node_changed("a", None)
    known.node_changed("a", host("a"))
    assert "Insufficient cpu" in place(known, instance("web-1", requests={"cpu": "2"}))
    assert not known.node_changed("a", host("a"))


def test_gpus_are_shared_by_thousandths_and_taken_whole() -> None:
    known = fleet(_gpu_host("a", 2))
    assert place(known, instance("s-0", requests={"boxfleet.dev/gpu-milli": "600"})) == "a"
    assert place(known, instance("s-1", requests={"boxfleet.dev/gpu-milli": "400"})) == "a"
    assert known.places["a"].gpus == (0, 1000)
    assert place(known, instance("w-0", requests={"nvidia.com/gpu": "1"})) == "a"
    assert "Insufficient GPUs (asks 1 of 100/1000 each)" in place(
        known, instance("s-2", requests={"boxfleet.dev/gpu-milli": "100"})
    )


def _gpu_host(name: str, count: int) -> node.Node:
    subject = host(name)
    subject.status.allocatable["nvidia.com/gpu"] = str(count)
    return subject


def test_a_pool_may_promise_more_than_there_is() -> None:
    known = fleet(
        host("a", annotations={node_places.OVERCOMMIT: "cpu=150"}),
        host("b", annotations={node_places.OVERCOMMIT: "what"}),
    )
    assert known.places["a"].offers["cpu"] == 6000 and known.places["b"].offers["cpu"] == 4000


def test_a_decision_that_could_not_be_written_is_taken_back() -> None:
    known = fleet(host("a"))
    subject = instance("web-0", requests={"cpu": "4"})
    assert place(known, subject) == "a" and known.is_assumed(subject.key, uid="uid-web-0")
    assert "Insufficient" in place(known, instance("web-1"))
    known.forget(subject.key, uid="uid-web-0")
    assert place(known, instance("web-1")) == "a"
    assert [key.name for key, _ in known.seats("a")] == ["web-1"]


def test_something_important_is_made_room_for() -> None:
    known = fleet(host("a"))
    for name, priority in (("low", 1), ("high", 9)):
        subject = instance(name, on="a", requests={"cpu": "2"}, priority=priority)
        known.pod_changed(subject.key, subject)
    ask = scheduling.ask_of(instance("new", requests={"cpu": "2"}, priority=5))
    room = known.make_room(ask, budgets=lambda key: (), allowed={})
    assert room is not None and room.place == "a"
    assert [each.key for each in room.victims] == [instance("low").key]
    never = scheduling.ask_of(instance("new", requests={"cpu": "2"}, priority=5, preemptionPolicy="Never"))
    assert known.make_room(never, budgets=lambda key: (), allowed={}) is None
