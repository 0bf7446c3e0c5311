"""What is well, what is on its way and what is not, from the objects of the API."""

import dataclasses
import datetime
import enum
from collections.abc import Iterable, Sequence

from boxfleet.api import address_pool, box, cluster, event, labels, meta, node, pod, unit
from boxfleet.kit import clock
from boxfleet.planning import advice, instances, problems

# What is not Ready for this long (seconds) is no longer merely on its way.
PATIENCE = 30.0
# Reasons that say "on its way": time mends them, so they are trouble only after the patience.
_PATIENT = problems.ON_ITS_WAY | {"Starting", "NotMadeYet", "ContainersNotReady"}
# Reasons that time does not mend.
_STUCK = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "PostStartHookError",
        "RunContainerError",
        "StartError",
        "AddressPoolFull",
        "Unschedulable",
        "FilesNotRendered",
        "TemplateError",
        "NameConflict",
        "FailedCreatePodSandBox",
    }
)


class Level(enum.StrEnum):
    """How something is."""

    WELL = "well"
    WAITING = "waiting"
    BAD = "not well"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One thing that keeps something from being well, and what to do about it."""

    subject: str
    reason: str
    message: str
    advice: str = ""
    level: Level = Level.BAD


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One line of the report."""

    kind: str
    name: str
    level: Level
    summary: str
    troubles: list[Trouble] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """All objects that health depends on."""

    nodes: Sequence[node.Node] = ()
    clusters: Sequence[cluster.Cluster] = ()
    pools: Sequence[address_pool.AddressPool] = ()
    boxes: Sequence[box.Box] = ()
    units: Sequence[unit.Unit] = ()
    pods: Sequence[pod.Pod] = ()
    events: Sequence[event.Event] = ()


def examine(world: World, *, now: datetime.datetime) -> list[Part]:
    """Nodes, clusters of others, pools, Boxes, Units of their own and Pods of their own, in this order."""
    # Hosts of others are their owners' to look after: their cluster says what matters here.
    own = (each for each in world.nodes if labels.MIRRORED not in each.metadata.labels)
    parts = [of_node(each, world.pods) for each in _by_name(own)]
    foreign = (each for each in world.clusters if each.spec.type is not cluster.ClusterType.HOSTS)
    parts += [of_cluster(each, world.pods, now=now) for each in _by_name(foreign)]
    parts += [of_pool(each) for each in _by_name(world.pools)]
    owned = {(each.metadata.namespace, each.metadata.name): each for each in world.units}
    for each in _by_name(world.boxes):
        mine = [one for one in owned.values() if one.spec.box == each.metadata.name and _same_space(one, each)]
        parts.append(of_box(each, mine, world, now=now))
    boxes = {each.key for each in world.boxes}
    for one in _by_name(world.units):
        if meta.Key(one.metadata.namespace, one.spec.box) not in boxes:
            parts.append(of_unit(one, world, now=now))
    parts += [of_pod(each, world.events, now=now) for each in _by_name(world.pods) if not instances.unit_key(each).name]
    return parts


def missing(world: World) -> list[Part]:
    """What no Boxfleet can do without and this one lacks: somebody deleted it, or it is not there yet."""
    parts = []
    if all(labels.MIRRORED in each.metadata.labels for each in world.nodes):
        parts.append(_lacks("node", "NoNode", "no host has registered itself: nothing can be started"))
    if not world.pools:
        parts.append(_lacks("pool", "NoAddressPool", "there is no AddressPool: new instances get no address"))
    return parts


def _lacks(kind: str, reason: str, message: str) -> Part:
    trouble = Trouble(subject=kind, reason=reason, message=message, advice=advice.of(reason))
    return Part(kind=kind, name="", level=Level.BAD, summary="there is none", troubles=[trouble])


def of_node(subject: node.Node, pods: Iterable[pod.Pod]) -> Part:
    """One host: every condition must say what it should."""
    name = subject.metadata.name
    troubles = []
    for condition in subject.status.conditions:
        if condition.type == "CPUPressure":
            # Processors that are all in use are what they are for.
            continue
        wanted = "False" if condition.type.endswith(("Pressure", "Unavailable", "Problem")) else "True"
        if condition.status != wanted:
            words = condition.message or condition.reason
            remedy = advice.of("NodeNotReady" if condition.type == "Ready" else condition.type)
            troubles.append(
                Trouble(
                    subject=f"node {name}",
                    reason=f"{condition.type} is {condition.status}",
                    message=words,
                    advice=remedy,
                )
            )
    if not subject.status.conditions:
        troubles.append(Trouble(subject=f"node {name}", reason="Unknown", message="it has not said how it is yet"))
    runs = sum(1 for each in pods if each.spec.nodeName == name and not each.status.has_ended)
    summary = f"{runs} of {subject.status.allocatable.get('pods', '?')} instances"
    if subject.spec.unschedulable:
        summary += ", takes no new ones (unschedulable)"
    runtime = subject.status.nodeInfo.containerRuntimeVersion
    if runtime:
        summary += f", {runtime}"
    return Part(kind="node", name=name, level=Level.BAD if troubles else Level.WELL, summary=summary, troubles=troubles)


def of_cluster(subject: cluster.Cluster, pods: Iterable[pod.Pod], *, now: datetime.datetime) -> Part:
    """A cluster of somebody else: whether it answers, and lets in."""
    name, status = subject.metadata.name, subject.status
    runs = sum(1 for each in pods if each.metadata.labels.get(labels.CLUSTER) == name and not each.status.has_ended)
    summary = f"{runs} instances, {status.readyNodes} of {status.nodes} hosts ready"
    summary += f", {status.version}" if status.version else ""
    if subject.spec.unschedulable:
        summary += ", takes no new ones (cordoned)"
    ready = meta.find_condition(status.conditions, "Ready")
    if subject.metadata.deletionTimestamp:
        summary += ", is being given up"
    if ready is not None and ready.status == "True":
        return Part(kind="cluster", name=name, level=Level.WELL, summary=summary)
    level = Level.BAD if ready is not None else _level("", since=subject.metadata.creationTimestamp, now=now)
    reason = ready.reason if ready is not None else "Unknown"
    words = ready.message if ready is not None else "it was not looked at yet"
    trouble = Trouble(
        subject=f"cluster {name}", reason=reason, message=words, advice=advice.of(f"Cluster{reason}"), level=level
    )
    return Part(kind="cluster", name=name, level=level, summary=summary, troubles=[trouble])


def of_pool(subject: address_pool.AddressPool) -> Part:
    """One range of addresses: bad when none is free."""
    status = subject.status
    name = subject.metadata.name
    summary = f"{status.used} of {status.capacity} addresses in use, {subject.spec.cidr}"
    troubles = [
        Trouble(subject=f"pool {name}", reason=each.reason, message=each.message, advice=advice.of(each.reason))
        for each in status.conditions
        if each.status == "False"
    ]
    if status.capacity and not status.free and not troubles:
        words = f"all {status.capacity} addresses are in use"
        troubles = [
            Trouble(
                subject=f"pool {name}", reason="AddressPoolFull", message=words, advice=advice.of("AddressPoolFull")
            )
        ]
    return Part(kind="pool", name=name, level=Level.BAD if troubles else Level.WELL, summary=summary, troubles=troubles)


def of_box(subject: box.Box, units: Sequence[unit.Unit], world: World, *, now: datetime.datetime) -> Part:
    """One Box: what keeps each Unit that is not ready."""
    status = subject.status
    name = str(subject.key)
    total = len(subject.spec.units)
    summary = f"{status.ready or f'0/{total}'} Units ready"
    if subject.metadata.deletionTimestamp:
        return Part(kind="box", name=name, level=Level.WAITING, summary="is being deleted")
    if meta.is_true(status.conditions, "Ready"):
        if status.observedGeneration < subject.metadata.generation:
            return _changes("box", name, summary)
        return Part(kind="box", name=name, level=Level.WELL, summary=summary)
    troubles = [
        trouble
        for each in sorted(units, key=lambda one: one.metadata.name)
        if not meta.is_true(each.status.conditions, "Ready")
        for trouble in of_unit(each, world, now=now).troubles
    ]
    ready = meta.find_condition(status.conditions, "Ready")
    if ready is not None and ready.reason == "NameConflict":
        troubles.insert(0, _trouble(f"box {name}", ready.reason, ready.message, subject))
    if not troubles and ready is not None:
        level = _level(ready.reason, since=_since(subject, ready), now=now)
        troubles.append(_trouble(f"box {name}", ready.reason, ready.message, subject, level=level))
    level = Level.BAD if any(each.level is Level.BAD for each in troubles) else Level.WAITING
    return Part(kind="box", name=name, level=level, summary=summary, troubles=troubles)


def of_unit(subject: unit.Unit, world: World, *, now: datetime.datetime) -> Part:
    """One Unit: its instances' troubles, or what its own condition says."""
    name = str(subject.key)
    status = subject.status
    summary = f"{status.readyReplicas} of {subject.spec.replicas} instances ready"
    ready = meta.find_condition(status.conditions, "Ready")
    if ready is not None and ready.status == "True":
        if status.observedGeneration < subject.metadata.generation:
            return _changes("unit", name, summary)
        return Part(kind="unit", name=name, level=Level.WELL, summary=summary)
    mine = [each for each in world.pods if instances.unit_key(each) == subject.key]
    troubles = [trouble for each in _by_name(mine) for trouble in of_pod(each, world.events, now=now).troubles]
    if not troubles and ready is not None:
        level = _level(ready.reason, since=_since(subject, ready), now=now)
        troubles.append(_trouble(f"unit {name}", ready.reason, ready.message, subject, level=level))
    level = Level.BAD if any(each.level is Level.BAD for each in troubles) else Level.WAITING
    return Part(kind="unit", name=name, level=level, summary=summary, troubles=troubles)


def _changes(kind: str, name: str, summary: str) -> Part:
    """One whose status is of the time before a change: that it was Ready then is no news."""
    trouble = Trouble(
        subject=f"{kind} {name}", reason="Changing", message="its change is being made", level=Level.WAITING
    )
    return Part(kind=kind, name=name, level=Level.WAITING, summary=summary, troubles=[trouble])


def of_pod(subject: pod.Pod, events: Iterable[event.Event], *, now: datetime.datetime) -> Part:
    """One instance: its worst container, its binding, its probes; the last warning about it as evidence."""
    name = str(subject.key)
    if subject.metadata.deletionTimestamp:
        words = Trouble(subject=f"pod {name}", reason="Terminating", message="it is being stopped", level=Level.WAITING)
        return Part(kind="pod", name=name, level=Level.WAITING, summary="stops", troubles=[words])
    if subject.status.phase == "Succeeded" or meta.is_true(subject.status.conditions, "Ready"):
        return Part(kind="pod", name=name, level=Level.WELL, summary=subject.status.phase or "Running")
    problem = problems.of(subject)
    reason, message = (problem.reason, problem.message) if problem is not None else ("", "")
    warning = last_warning(subject, events)
    if warning is not None and (reason in _PATIENT or not message):
        # The status only says "not yet"; the event says why not.
        reason = reason if reason not in _PATIENT else warning.reason
        times = f" ({warning.count} times)" if warning.count > 1 else ""
        message = f"{warning.message}{times}"
    ready = meta.find_condition(subject.status.conditions, "Ready")
    # What has failed starts no more.
    failed = subject.status.phase == "Failed"
    level = Level.BAD if failed else _level(reason, since=_since(subject, ready), now=now)
    container = problem.container if problem is not None else ""
    trouble = _trouble(
        f"pod {name}",
        reason or "Starting",
        message or "it is on its way",
        subject,
        level=level,
        container=container,
    )
    return Part(kind="pod", name=name, level=level, summary=reason or "starting", troubles=[trouble])


def last_warning(subject: meta.Object, events: Iterable[event.Event]) -> event.Event | None:
    """The newest warning about an object, this very one and not a namesake."""
    about = [
        each
        for each in events
        if each.type == "Warning"
        and each.involvedObject.uid == subject.metadata.uid
        and each.involvedObject.name == subject.metadata.name
    ]
    return max(about, key=lambda each: each.lastTimestamp or "", default=None)


def worst(parts: Iterable[Part]) -> Level:
    """The level of the whole."""
    levels = {part.level for part in parts}
    return next((level for level in (Level.BAD, Level.WAITING) if level in levels), Level.WELL)


def _trouble(
    subject: str, reason: str, message: str, about: meta.Object, *, level: Level = Level.BAD, container: str = ""
) -> Trouble:
    remedy = advice.of(
        reason, message, namespace=about.metadata.namespace, name=about.metadata.name, container=container
    )
    return Trouble(subject=subject, reason=reason, message=message, advice=remedy, level=level)


def _level(reason: str, *, since: str, now: datetime.datetime) -> Level:
    if reason in _STUCK:
        return Level.BAD
    try:
        age = (now - clock.parse(since)).total_seconds()
    except ValueError:
        return Level.WAITING
    return Level.BAD if age > PATIENCE else Level.WAITING


def _since(subject: meta.Object, condition: meta.Condition | None) -> str:
    return (condition.lastTransitionTime if condition is not None else "") or subject.metadata.creationTimestamp


def _same_space(one: meta.Object, other: meta.Object) -> bool:
    return one.metadata.namespace == other.metadata.namespace


def _by_name(objects: Iterable[meta.T]) -> list[meta.T]:
    return sorted(objects, key=lambda each: each.key)
