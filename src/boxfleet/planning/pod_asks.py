"""What a Pod asks of its node: its spec in the words of the engine."""

from collections.abc import Iterable, Mapping, Sequence

from boxfleet.api import coupling, disruption_budget, labels, pod, pod_affinity, resource_names
from boxfleet.planning import resources
from boxfleet.planning.engine import asks

# Labels that differ from instance to instance. Were they looked at, no two instances would ask alike.
_OWN = frozenset(
    {
        labels.ORDINAL,
        "apps.kubernetes.io/pod-index",
        "statefulset.kubernetes.io/pod-name",
        "batch.kubernetes.io/job-completion-index",
    }
)


def ask_of(subject: pod.Pod, *, pinned: str = "") -> asks.Ask:
    """What a Pod needs; raises ValueError when a quantity in it is none."""
    spec, metadata = subject.spec, subject.metadata
    affinity = spec.affinity or _NO_AFFINITY
    nodes = affinity.nodeAffinity or _NO_NODES
    ports = [port for container in spec.containers for port in container.ports]
    unit = metadata.labels.get(labels.UNIT, "")
    requests = resources.requests_of(spec)
    return asks.Ask(
        requests=requests,
        limits=resources.limits_of(spec),
        gpus=_gpus(requests),
        ports=tuple((p.hostIP or "0.0.0.0", p.protocol, p.hostPort) for p in ports if p.hostPort),  # noqa: S104
        selector=spec.nodeSelector,
        affinity=nodes.requiredDuringSchedulingIgnoredDuringExecution,
        preferred=tuple(nodes.preferredDuringSchedulingIgnoredDuringExecution),
        tolerations=tuple(spec.tolerations),
        images=tuple(container.image for container in spec.containers),
        group=f"{metadata.namespace}/{unit}" if unit else "",
        cluster=metadata.labels.get(labels.CLUSTER, ""),
        pinned=pinned,
        shares=shares_of(spec),
        namespace=metadata.namespace,
        labels=labels_of(metadata.labels),
        spread=tuple(_spread(each, metadata.namespace, metadata.labels) for each in spec.topologySpreadConstraints),
        near=_required(affinity.podAffinity, metadata.namespace, metadata.labels),
        apart=_required(affinity.podAntiAffinity, metadata.namespace, metadata.labels),
        wishes=(
            *_wishes(affinity.podAffinity, metadata.namespace, metadata.labels, sign=1),
            *_wishes(affinity.podAntiAffinity, metadata.namespace, metadata.labels, sign=-1),
        ),
        priority=spec.priority or 0,
        preempts=spec.preemptionPolicy != "Never",
    )


def shares_of(spec: pod.PodSpec) -> tuple[asks.Share, ...]:
    """What a Pod says of memory that it shares."""
    found = []
    for volume in spec.volumes:
        if volume.csi is not None and volume.csi.driver == coupling.DRIVER:
            said = volume.csi.volumeAttributes
            found.append(
                asks.Share(
                    name=said.get(coupling.NAME, ""),
                    provides=said.get(coupling.ROLE) == coupling.PROVIDES,
                    exclusive=said.get(coupling.EXCLUSIVE) == "true",
                )
            )
    return tuple(found)


def labels_of(own: Mapping[str, str]) -> dict[str, str]:
    """The labels by which terms of others may mean an instance."""
    return {key: value for key, value in own.items() if key not in _OWN}


_NO_AFFINITY = pod_affinity.Affinity()
_NO_NODES = pod_affinity.NodeAffinity()
_Terms = pod_affinity.PodAffinity | pod_affinity.PodAntiAffinity | None


def _gpus(requests: resources.Amounts) -> asks.Gpus | None:
    """Whole devices are counted by their resource; a share is of one device, and is taken out of the amounts."""
    if share := requests.pop(resource_names.GPU_SHARE, 0):
        return asks.Gpus(count=1, milli=share)
    if whole := requests.get(resource_names.GPU, 0):
        return asks.Gpus(count=whole)
    return None


def _required(source: _Terms, namespace: str, own: Mapping[str, str]) -> tuple[asks.Term, ...]:
    if source is None:
        return ()
    return tuple(_term(each, namespace, own) for each in source.requiredDuringSchedulingIgnoredDuringExecution)


def _wishes(source: _Terms, namespace: str, own: Mapping[str, str], *, sign: int) -> Iterable[asks.Wish]:
    if source is None:
        return ()
    return (
        asks.Wish(weight=sign * each.weight, term=_term(each.podAffinityTerm, namespace, own))
        for each in source.preferredDuringSchedulingIgnoredDuringExecution
        if each.weight
    )


def _term(source: pod_affinity.PodAffinityTerm, namespace: str, own: Mapping[str, str]) -> asks.Term:
    namespaces: frozenset[str] | None = frozenset(source.namespaces or (namespace,))
    if source.namespaceSelector is not None and source.namespaceSelector == disruption_budget.LabelSelector():
        # An empty selector means every namespace; others would need the Namespaces' labels.
        namespaces = None
    selector = _selector(source.labelSelector, own, same=source.matchLabelKeys, other=source.mismatchLabelKeys)
    return asks.Term(topology=source.topologyKey, selector=selector, namespaces=namespaces)


def _spread(source: pod_affinity.TopologySpreadConstraint, namespace: str, own: Mapping[str, str]) -> asks.Spread:
    selector = _selector(source.labelSelector, own, same=source.matchLabelKeys)
    term = asks.Term(topology=source.topologyKey, selector=selector, namespaces=frozenset({namespace}))
    return asks.Spread(
        term=term,
        skew=max(1, source.maxSkew),
        required=source.whenUnsatisfiable != "ScheduleAnyway",
        domains=source.minDomains or 1,
        by_affinity=source.nodeAffinityPolicy != "Ignore",
        by_taints=source.nodeTaintsPolicy == "Honor",
    )


def _selector(
    source: disruption_budget.LabelSelector | None,
    own: Mapping[str, str],
    *,
    same: Sequence[str] = (),
    other: Sequence[str] = (),
) -> asks.Selector | None:
    """A selector, with the Pod's own values of some labels to be the same, or others."""
    if source is None:
        return None
    rules = [(each.key, each.operator, tuple(each.values)) for each in source.matchExpressions]
    rules += [(key, "In", (own[key],)) for key in same if key in own]
    rules += [(key, "NotIn", (own[key],)) for key in other if key in own]
    return asks.Selector(pairs=tuple(sorted(source.matchLabels.items())), rules=tuple(rules))
