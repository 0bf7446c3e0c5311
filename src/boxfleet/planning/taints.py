"""Which taints an instance puts up with, and until when: Kubernetes' rules of taints and tolerations."""

from collections.abc import Iterable, Mapping

from boxfleet.api import node, pod_affinity

NO_EXECUTE = "NoExecute"

# What a taint of that effect is to a Pod: its key and value. Another value is another taint.
Mark = tuple[str, str]


def tolerates(toleration: pod_affinity.Toleration, taint: node.Taint) -> bool:
    """Whether a toleration is one for that taint."""
    return (
        (not toleration.effect or toleration.effect == taint.effect)
        and (toleration.key == taint.key or (not toleration.key and toleration.operator == "Exists"))
        and (toleration.operator == "Exists" or toleration.value == taint.value)
    )


def evicting(taints: Iterable[node.Taint]) -> dict[Mark, node.Taint]:
    """Those of a node's taints that no instance may stay with unless it tolerates them."""
    return {(each.key, each.value): each for each in taints if each.effect == NO_EXECUTE}


def deadline(
    since: Mapping[Mark, float], taints: Mapping[Mark, node.Taint], tolerations: Iterable[pod_affinity.Toleration]
) -> float | None:
    """The moment at which an instance has to go; None when it may stay.

    `since` says when each taint was seen beside the instance. As in Kubernetes the first toleration of a taint counts,
    one without `tolerationSeconds` holds for ever, and of several taints the one that drives it away first.
    """
    known = list(tolerations)
    ends = []
    for mark, taint in taints.items():
        found = next((each for each in known if tolerates(each, taint)), None)
        if found is None:
            ends.append(since[mark])
        elif found.tolerationSeconds is not None:
            ends.append(since[mark] + max(0, found.tolerationSeconds))
    return min(ends, default=None)
