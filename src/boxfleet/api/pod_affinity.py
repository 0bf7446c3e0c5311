"""Which nodes a Pod may run on, and beside which Pods. Parts of the standard v1 Pod."""

from typing import Annotated

import msgspec

from boxfleet.api import disruption_budget, meta


class Toleration(meta.Model):
    """A taint that this instance puts up with."""

    key: Annotated[str, msgspec.Meta(description="The taint's key; empty with Exists for every taint.")] = ""
    operator: Annotated[str, msgspec.Meta(description="Exists, or Equal, which is meant by nothing.")] = ""
    value: Annotated[str, msgspec.Meta(description="The taint's value, for Equal.")] = ""
    effect: Annotated[str, msgspec.Meta(description="The taint's effect; empty for all.")] = ""
    tolerationSeconds: Annotated[
        int | None, msgspec.Meta(description="For the effect NoExecute: for how long; for ever when not set.")
    ] = None


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


class PreferredSchedulingTerm(meta.Model):
    """Nodes that are liked, from 1 to 100."""

    weight: int
    preference: NodeSelectorTerm


class NodeAffinity(meta.Model):
    """Nodes that an instance may run on, and those that it would rather."""

    requiredDuringSchedulingIgnoredDuringExecution: NodeSelector | None = None
    preferredDuringSchedulingIgnoredDuringExecution: list[PreferredSchedulingTerm] = []


class PodAffinityTerm(meta.Model):
    """Pods, and the label whose value makes nodes one place for them."""

    topologyKey: str
    labelSelector: disruption_budget.LabelSelector | None = None
    namespaces: list[str] = []
    namespaceSelector: disruption_budget.LabelSelector | None = None
    matchLabelKeys: list[str] = []
    mismatchLabelKeys: list[str] = []


class WeightedPodAffinityTerm(meta.Model):
    """Pods that are liked or disliked, from 1 to 100."""

    weight: int
    podAffinityTerm: PodAffinityTerm


class PodAffinity(meta.Model):
    """Pods that an instance wants to be beside."""

    requiredDuringSchedulingIgnoredDuringExecution: list[PodAffinityTerm] = []
    preferredDuringSchedulingIgnoredDuringExecution: list[WeightedPodAffinityTerm] = []


class PodAntiAffinity(meta.Model):
    """Pods that an instance wants to be away from."""

    requiredDuringSchedulingIgnoredDuringExecution: list[PodAffinityTerm] = []
    preferredDuringSchedulingIgnoredDuringExecution: list[WeightedPodAffinityTerm] = []


class Affinity(meta.Model):
    """Where an instance wants to be."""

    nodeAffinity: NodeAffinity | None = None
    podAffinity: PodAffinity | None = None
    podAntiAffinity: PodAntiAffinity | None = None


class TopologySpreadConstraint(meta.Model):
    """How evenly Pods are to lie over the values of a node's label."""

    maxSkew: int
    topologyKey: str
    whenUnsatisfiable: str
    labelSelector: disruption_budget.LabelSelector | None = None
    minDomains: int | None = None
    # Honor or Ignore; empty stands for Honor and Ignore.
    nodeAffinityPolicy: str = ""
    nodeTaintsPolicy: str = ""
    matchLabelKeys: list[str] = []
