from boxfleet.api import labels, meta, node
from boxfleet.planning import garbage, node_health

NOW = "2026-01-01T00:00:00Z"


def host(status: str = "True", *, taints: list[node.Taint] | None = None, cordoned: bool = False) -> node.Node:
    return node.Node(
        spec=node.NodeSpec(taints=taints or [], unschedulable=cordoned),
        status=node.NodeStatus(conditions=[node.NodeCondition(type="Ready", status=status)]),
    )


def taints(subject: node.Node, *, lost: bool = False) -> list[tuple[str, str]]:
    return [(each.key, each.effect) for each in node_health.wanted_taints(subject, lost=lost, now=NOW)]


def test_taints_follow_health_and_leave_others_alone() -> None:
    own = node.Taint(key="gpu", effect="NoSchedule")
    evicting = node.Taint(key=labels.TAINT_UNREACHABLE, effect="NoExecute")
    assert taints(host()) == []
    assert taints(host("False")) == [(labels.TAINT_NOT_READY, "NoSchedule")]
    assert taints(host("Unknown", taints=[own]), lost=True) == [
        ("gpu", "NoSchedule"), (labels.TAINT_UNREACHABLE, "NoSchedule"),
    ]  # fmt: skip
    old = node.Taint(key=labels.TAINT_UNREACHABLE, effect="NoSchedule")
    assert taints(host(taints=[old, own, evicting])) == [("gpu", "NoSchedule"), (labels.TAINT_UNREACHABLE, "NoExecute")]
    assert taints(host(cordoned=True)) == [(labels.TAINT_UNSCHEDULABLE, "NoSchedule")]
    assert taints(host("Unknown", taints=[old]), lost=True) == [(labels.TAINT_UNREACHABLE, "NoSchedule")]


def reference(uid: str) -> meta.OwnerReference:
    return meta.OwnerReference(apiVersion="v1", kind="ConfigMap", name=uid, uid=uid)


def judge(states: dict[str, garbage.Owner], *, blocking: bool = False) -> garbage.Verdict:
    return garbage.judge([reference(uid) for uid in states], states, has_blocking=blocking)


def test_rules_of_owners() -> None:
    here, waits, gone = garbage.Owner.PRESENT, garbage.Owner.WAITING, garbage.Owner.ABSENT
    assert garbage.judge([], {}, has_blocking=False) == garbage.Verdict()
    assert judge({"a": here}) == garbage.Verdict()
    assert judge({"a": gone}) == garbage.Verdict(delete=True)
    assert judge({"a": here, "b": gone, "c": waits}) == garbage.Verdict(drop=("b", "c"))
    assert judge({"a": waits}, blocking=True) == garbage.Verdict(delete=True, foreground=True)
    assert judge({"a": waits}) == garbage.Verdict(delete=True)
    assert judge({"a": gone}, blocking=True) == garbage.Verdict(delete=True)


def going(*finalizers: str) -> meta.ObjectMeta:
    return meta.ObjectMeta(name="x", deletionTimestamp=NOW, finalizers=list(finalizers))


def test_an_object_without_owners_goes_as_its_finalizers_ask() -> None:
    held = meta.ObjectMeta(finalizers=["example.com/other"])
    assert garbage.policy(held, foreground=False) == "Background"
    assert garbage.policy(held, foreground=True) == "Foreground"
    assert garbage.policy(meta.ObjectMeta(finalizers=[labels.ORPHAN]), foreground=True) == "Orphan"
    assert garbage.policy(meta.ObjectMeta(finalizers=[labels.FOREGROUND]), foreground=False) == "Foreground"


def test_a_circle_is_one_whose_dependents_wait_already() -> None:
    assert garbage.is_circle([going("other"), going(labels.FOREGROUND)])
    assert not garbage.is_circle([going("other"), meta.ObjectMeta(finalizers=[labels.FOREGROUND])])
