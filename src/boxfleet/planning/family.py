"""The family tree of a Box: its Units, their instances, and what is known of each."""

import datetime
from collections.abc import Iterable

import msgspec

from boxfleet.api import box, labels, meta, pod, unit
from boxfleet.kit import clock
from boxfleet.planning import domains, instances, problems


class Member(msgspec.Struct, kw_only=True):
    """One instance. `age` in seconds."""

    name: str
    status: str
    node: str
    address: str
    domain: str
    restarts: int
    age: float


class Branch(msgspec.Struct, kw_only=True):
    """One Unit."""

    name: str
    ready: int
    replicas: int
    domain: str
    status: str
    members: list[Member]


class Tree(msgspec.Struct, kw_only=True):
    """One Box; an empty name stands for what belongs to none."""

    namespace: str
    name: str
    status: str
    units: list[Branch]
    pods: list[Member] = []


def grow(
    *, boxes: Iterable[box.Box], units: Iterable[unit.Unit], pods: Iterable[pod.Pod], now: datetime.datetime
) -> list[Tree]:
    """All Boxes with what belongs to them, and one tree per namespace for what belongs to none."""
    all_units = sorted(units, key=lambda each: each.key)
    all_pods = sorted(pods, key=_in_order)
    trees: dict[tuple[str, str], Tree] = {}
    for each in sorted(boxes, key=lambda one: one.key):
        status = _condition_word(each.status.conditions, deleted=bool(each.metadata.deletionTimestamp))
        key = (each.metadata.namespace, each.metadata.name)
        trees[key] = Tree(namespace=key[0], name=key[1], status=status, units=[])

    def tree_of(namespace: str, name: str) -> Tree:
        key = (namespace, name if (namespace, name) in trees else "")
        return trees.setdefault(key, Tree(namespace=namespace, name="", status="", units=[]))

    known = set()
    for one in all_units:
        known.add(one.key)
        mine = [each for each in all_pods if instances.unit_key(each) == one.key]
        branch = Branch(
            name=one.metadata.name,
            ready=one.status.readyReplicas,
            replicas=one.spec.replicas,
            domain=one.status.domain,
            status=_condition_word(one.status.conditions, deleted=bool(one.metadata.deletionTimestamp)),
            members=[_member(each, one.status.domain, now) for each in mine],
        )
        tree_of(one.metadata.namespace, one.spec.box).units.append(branch)
    for alone in all_pods:
        if instances.unit_key(alone) not in known:
            tree_of(alone.metadata.namespace, "").pods.append(_member(alone, "", now))
    return list(trees.values())


def _in_order(subject: pod.Pod) -> tuple[str, int, str]:
    return (subject.metadata.namespace, instances.ordinal_of(subject) or 0, subject.metadata.name)


def _member(subject: pod.Pod, unit_domain: str, now: datetime.datetime) -> Member:
    try:
        age = (now - clock.parse(subject.metadata.creationTimestamp)).total_seconds()
    except ValueError:
        age = 0.0
    return Member(
        name=subject.metadata.name,
        status=status_word(subject),
        node=subject.spec.nodeName,
        address=subject.status.podIP or subject.metadata.annotations.get(labels.ADDRESS, ""),
        domain=domains.of_instance(subject.metadata.name, unit_domain=unit_domain) if unit_domain else "",
        restarts=sum(each.restartCount for each in subject.status.containerStatuses),
        age=max(age, 0.0),
    )


def status_word(subject: pod.Pod) -> str:
    """One word for an instance, as `kubectl get pods` has it, with Ready where kubectl says 1/1."""
    if subject.metadata.deletionTimestamp:
        return "Terminating"
    if meta.is_true(subject.status.conditions, "Ready"):
        return "Ready"
    if subject.status.phase == "Succeeded":
        return "Completed"
    if (problem := problems.of(subject)) is not None and problem.reason:
        return problem.reason
    return "NotReady" if subject.status.phase == "Running" else subject.status.phase or "Pending"


def _condition_word(conditions: list[meta.Condition], *, deleted: bool) -> str:
    if deleted:
        return "Terminating"
    ready = meta.find_condition(conditions, "Ready")
    if ready is None:
        return "NotMadeYet"
    return "Ready" if ready.status == "True" else ready.reason or "NotReady"
