"""Why the instances of a Unit are where they are, or nowhere: both levels asked again, by what is so now."""

import asyncio
from collections.abc import Sequence

import msgspec

from boxfleet.api import cluster, event, labels, meta, namespace, node, placement, pod, unit
from boxfleet.client import client, errors, shared
from boxfleet.kit import clock as clocks
from boxfleet.planning import facts, instances, manifest, scheduling
from boxfleet.planning import placement as planning
from boxfleet.scheduler import candidates, state
from boxfleet.scheduler import settings as scheduler_settings


class Found(msgspec.Struct, kw_only=True):
    """What was found about one Cluster or Node."""

    name: str
    # Instances of the Unit that are there, by number.
    instances: list[int] = []
    obstacles: list[str] = []
    score: float | None = None
    # The score's parts, where they are told.
    parts: dict[str, float] = {}


class Waiting(msgspec.Struct, kw_only=True):
    """An instance that is not placed or not bound, and what is in its way."""

    instance: str
    reason: str


class Explanation(msgspec.Struct, kw_only=True):
    """Why a Unit's instances are where they are."""

    namespace: str
    unit: str
    replicas: int
    clusters: list[Found]
    # By Cluster of hosts that has instances, or would be the next: what each of its Nodes is worth for one more.
    nodes: dict[str, list[Found]]
    waiting: list[Waiting] = []
    # What was said when it was placed, newest last.
    history: list[str] = []


async def explain(api: client.Client, key: meta.Key) -> Explanation:
    """Look at a Unit. Raises ApiError, NotFound when there is no such Unit."""
    clock = clocks.SystemClock()
    caches = shared.Caches(api, clock=clock)
    made = candidates.Candidates(caches, clock=clock)
    for kind in (unit.Unit, cluster.Cluster, placement.Placement, namespace.Namespace, node.Node, pod.Pod):
        caches.of(kind)
    following = asyncio.create_task(caches.run())
    try:
        await caches.synced()
        subject = caches.of(unit.Unit).get(key)
        if subject is None:
            raise errors.NotFound(code=404, reason="NotFound", message=f'units.boxfleet.dev "{key.name}" not found')
        said = await api.list(event.Event, namespace=key.namespace, fields=f"involvedObject.uid={subject.metadata.uid}")
        return _explain(subject, caches, made, said.items)
    finally:
        following.cancel()
        await asyncio.wait([following])


def _explain(
    subject: unit.Unit, caches: shared.Caches, made: candidates.Candidates, said: Sequence[event.Event]
) -> Explanation:
    uid = subject.metadata.uid
    placed = {
        each.spec.cluster: each.spec.ordinals
        for each in caches.of(placement.Placement)
        if meta.controller_uid(each) == uid
    }
    places = sorted(made.of(subject), key=lambda each: each.name)
    wish = made.wish(subject)
    counts = {name: len(ordinals) for name, ordinals in placed.items()}
    verdicts = planning.judge(wish, places, counts=counts)
    clusters = [
        Found(
            name=each.cluster,
            instances=sorted(placed.get(each.cluster, ())),
            obstacles=list(each.obstacles),
            score=None if each.obstacles else round(each.score, 3),
            parts={part: round(value, 3) for part, value in each.parts.items()},
        )
        for each in verdicts
    ]
    pods = [each for each in caches.of(pod.Pod) if meta.controller_uid(each) == uid]
    hosts = {each.metadata.name for each in caches.of(cluster.Cluster) if each.spec.type is cluster.ClusterType.HOSTS}
    chosen = {name for name, ordinals in placed.items() if ordinals} & hosts
    known = [each.spec.ordinals for each in caches.of(placement.Placement) if meta.controller_uid(each) == uid]
    homeless = set(range(subject.spec.replicas)).difference(*known)
    why = planning.divide(wish, placed=placed, clusters=places).why_not
    waiting = [
        Waiting(instance=f"{subject.metadata.name}-{ordinal}", reason=why or "it is about to be placed")
        for ordinal in sorted(homeless)
    ]
    waiting += [Waiting(instance=each.metadata.name, reason=_unbound(each)) for each in pods if not each.spec.nodeName]
    placing = [each for each in said if each.reason in ("Placed", "Moved", "NotPlaced")]
    history = [f"{each.lastTimestamp or ''} {each.reason}: {each.message}".strip() for each in placing]
    return Explanation(
        namespace=subject.metadata.namespace,
        unit=subject.metadata.name,
        replicas=subject.spec.replicas,
        clusters=clusters,
        nodes={name: _nodes(subject, name, caches, pods) for name in sorted(chosen)},
        waiting=waiting,
        history=sorted(history),
    )


def _nodes(subject: unit.Unit, name: str, caches: shared.Caches, pods: Sequence[pod.Pod]) -> list[Found]:
    """What each Node of a Cluster is worth for one more instance."""
    board = state.State(cluster=scheduler_settings.Settings().cluster)
    for each in caches.of(node.Node):
        board.node_changed(each.metadata.name, each)
    for other in caches.of(pod.Pod):
        board.pod_changed(other.key, other)
    template = subject.spec.pod_template()
    metadata = meta.ObjectMeta(
        name=subject.metadata.name,
        namespace=subject.metadata.namespace,
        labels=template.metadata.labels | {labels.UNIT: subject.metadata.name, labels.CLUSTER: name},
    )
    # As its instances are made: with what they share.
    shaped = manifest.pod(subject, ordinal=0, cluster=name, address="", rendered=facts.Rendered({}, {}), revision="")
    ask = scheduling.ask_of(pod.Pod(metadata=metadata, spec=msgspec.convert(shaped["spec"], pod.PodSpec)))
    ask.among = board.sharing.among(ask.shares, namespace=metadata.namespace, known=caches.of(unit.Unit))
    found = []
    for place in sorted(board.places.values(), key=lambda each: each.name):
        if place.cluster != name:
            continue
        obstacles = scheduling.obstacles(ask, place)
        mine = [instances.ordinal_of(each) for each in pods if each.spec.nodeName == place.name]
        found.append(
            Found(
                name=place.name,
                instances=sorted(each for each in mine if each is not None),
                obstacles=obstacles,
                score=None if obstacles else round(scheduling.score(ask, place), 3),
            )
        )
    return found


def _unbound(subject: pod.Pod) -> str:
    said = meta.find_condition(subject.status.conditions, "PodScheduled")
    return said.message if said is not None and said.message else "nobody has looked at it yet"
