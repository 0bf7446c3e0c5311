"""Which nodes a Pod may run on. Parts of the standard v1 Pod."""

from boxfleet.api import meta


class Toleration(meta.Model):
    """A taint that this instance puts up with."""

    key: str = ""
    operator: str = ""
    value: str = ""
    effect: str = ""
    # Of effect NoExecute: for how long.
    tolerationSeconds: int | None = None


class NodeSelectorRequirement(meta.Model):
    """One expression over a node's labels."""

    key: str
    operator: str
    values: list[str] = []


class NodeSelectorTerm(meta.Model):
    """Expressions that must all hold."""

    matchExpressions: list[NodeSelectorRequirement] = []
    matchFields: list[NodeSelectorRequirement] = []


class NodeSelector(meta.Model):
    """Terms of which one must hold."""

    nodeSelectorTerms: list[NodeSelectorTerm] = []


class NodeAffinity(meta.Model):
    """Nodes that an instance may run on."""

    requiredDuringSchedulingIgnoredDuringExecution: NodeSelector | None = None


class Affinity(meta.Model):
    """Where an instance wants to be."""

    nodeAffinity: NodeAffinity | None = None
