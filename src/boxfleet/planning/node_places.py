"""Nodes as places, with what runs on them."""

import contextlib
from collections.abc import Iterable

from boxfleet.api import labels, node, pod, resource_names
from boxfleet.planning import node_health, resources, scheduling
from boxfleet.planning.engine import asks, places

# On a Node: what its pool lets instances have beyond what there is, in percent, as `cpu=200,limits.memory=150`.
OVERCOMMIT = "boxfleet.dev/overcommit"
# The label in which NVIDIA's feature discovery says what devices a node has.
_GPU_MODEL = "nvidia.com/gpu.product"


def place_of(subject: node.Node, *, default_cluster: str) -> scheduling.Place:
    """An empty place; of the cluster that its label names, or else of the default one."""
    metadata, status = subject.metadata, subject.status
    try:
        offers = resources.amounts(status.allocatable or status.capacity)
    except ValueError:
        # A node that reports nonsense offers nothing.
        offers = {}
    gpus = (asks.WHOLE,) * offers.get(resource_names.GPU, 0)
    # A policy that is none changes nothing.
    with contextlib.suppress(ValueError):
        offers = places.overcommitted(offers, places.policy(metadata.annotations.get(OVERCOMMIT, "")))
    return scheduling.Place(
        name=metadata.name,
        labels=metadata.labels,
        taints=tuple(subject.spec.taints),
        unschedulable=subject.spec.unschedulable,
        ready=node_health.is_ready(subject),
        cluster=metadata.labels.get(labels.CLUSTER) or default_cluster,
        offers=offers,
        images=frozenset(name for image in status.images for name in image.names),
        gpu_model=metadata.labels.get(_GPU_MODEL, ""),
        gpus=gpus,
    )


def ask_of(subject: pod.Pod) -> scheduling.Ask:
    """What a Pod that runs takes; one that was bound with quantities that are none counts as one Pod."""
    try:
        return scheduling.ask_of(subject)
    except ValueError:
        return scheduling.Ask(requests={"pods": 1})


def board(nodes: Iterable[node.Node], pods: Iterable[pod.Pod], *, default_cluster: str) -> dict[str, scheduling.Place]:
    """All nodes with an agent of ours, by name, with what runs there."""
    places = {
        each.metadata.name: place_of(each, default_cluster=default_cluster)
        for each in nodes
        if labels.MIRRORED not in each.metadata.labels
    }
    for each in pods:
        place = places.get(each.spec.nodeName)
        if place is not None and not each.status.has_ended:
            place.take(ask_of(each))
    return places
