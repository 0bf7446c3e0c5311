"""What nodes and instances use now (metrics.k8s.io), for `kubectl top`: asked of the agents, never stored."""

from typing import Annotated, ClassVar

import msgspec

from boxfleet.api import kind, meta

GROUP = "metrics.k8s.io"
_QUANTITIES = msgspec.Meta(description="Usage by resource: cpu in cores, memory in bytes, as quantities.")


def _figures(name: str, plural: str, singular: str, *, namespaced: bool) -> kind.Kind:
    return kind.Kind(
        group=GROUP,
        version="v1beta1",
        kind=name,
        plural=plural,
        singular=singular,
        namespaced=namespaced,
        status=False,
        verbs=("get", "list"),
        computed=True,
    )


class ContainerUsage(msgspec.Struct, kw_only=True):
    """What one container uses."""

    name: str
    usage: Annotated[dict[str, str], _QUANTITIES] = {}


class PodMetrics(meta.Object, kw_only=True):
    """What an instance's containers use."""

    KIND: ClassVar[kind.Kind] = _figures("PodMetrics", "pods", "pod", namespaced=True)

    timestamp: str = ""
    window: str = ""
    containers: list[ContainerUsage] = []


class NodeMetrics(meta.Object, kw_only=True):
    """What a node uses, its own processes among it."""

    KIND: ClassVar[kind.Kind] = _figures("NodeMetrics", "nodes", "node", namespaced=False)

    timestamp: str = ""
    window: str = ""
    usage: Annotated[dict[str, str], _QUANTITIES] = {}


TYPES: tuple[type[meta.Object], ...] = (PodMetrics, NodeMetrics)
