"""What is asked of a place. Asks that differ in nothing that counts have one key, and share what is worked out."""

import dataclasses
from collections.abc import Mapping
from typing import Literal

import msgspec

from boxfleet.api import pod_affinity
from boxfleet.planning import resources

Port = tuple[str, str, int]
Key = tuple[object, ...]

# All of a device, which is shared in thousandths.
WHOLE = 1000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Which Pods, by labels: pairs and rules (key, operator, values) that must all hold."""

    pairs: tuple[tuple[str, str], ...] = ()
    rules: tuple[tuple[str, str, tuple[str, ...]], ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels are meant."""
        return all(labels.get(key) == value for key, value in self.pairs) and all(
            _holds(labels.get(key), operator, values) for key, operator, values in self.rules
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """Pods of some namespaces (None: of all), and the node label whose value makes a domain."""

    topology: str
    selector: Selector | None
    namespaces: frozenset[str] | None

    def matches(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Whether a Pod is meant; no selector means none."""
        return (
            self.selector is not None
            and (self.namespaces is None or namespace in self.namespaces)
            and self.selector.matches(labels)
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Topology spread: domains may differ by `skew` in the Pods that the term means."""

    term: Term
    skew: int
    required: bool
    # Of fewer domains than this, the emptiest counts as having none.
    domains: int = 1
    # Whether nodes that the selector and affinity, or the taints, keep away count as domains.
    by_affinity: bool = True
    by_taints: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A preferred term about other Pods; a weight below zero keeps away."""

    weight: int
    term: Term


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Gpus:
    """Devices: so many, of each so many thousandths, of one of some models (none named: of any)."""

    count: int
    milli: int = WHOLE
    models: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A memory that an instance provides on its host, or consumes there."""

    name: str
    provides: bool
    exclusive: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Among:
    """The only places that will do, by name; and why others do not: by name, or else in the words for all others."""

    open: frozenset[str]
    words: Mapping[str, str]
    otherwise: str

    def why_not(self, name: str) -> str:
        """Why a place is none; empty when it is one."""
        return "" if name in self.open else self.words.get(name, self.otherwise)


@dataclasses.dataclass(slots=True, kw_only=True)
class Ask:
    """What an instance needs of its place. Not to be changed once it was asked with."""

    requests: resources.Amounts
    # What it may come to use; counts only where a pool bounds the sum of limits.
    limits: resources.Amounts = dataclasses.field(default_factory=dict)
    gpus: Gpus | None = None
    ports: tuple[Port, ...] = ()
    selector: dict[str, str] = dataclasses.field(default_factory=dict)
    affinity: pod_affinity.NodeSelector | None = None
    preferred: tuple[pod_affinity.PreferredSchedulingTerm, ...] = ()
    tolerations: tuple[pod_affinity.Toleration, ...] = ()
    images: tuple[str, ...] = ()
    # Instances with the same group are spread.
    group: str = ""
    # Only places of this cluster, unless empty.
    cluster: str = ""
    # Only this place, because its storage is there, unless empty.
    pinned: str = ""
    # Memory that it shares on its host, and the places that this leaves to a consumer; None: all of them.
    shares: tuple[Share, ...] = ()
    among: Among | None = None
    # Whom terms of others mean.
    namespace: str = ""
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    spread: tuple[Spread, ...] = ()
    # Beside these Pods, and away from those.
    near: tuple[Term, ...] = ()
    apart: tuple[Term, ...] = ()
    wishes: tuple[Wish, ...] = ()
    priority: int = 0
    # Whether others may be made to go for it.
    preempts: bool = True
    _key: Key | None = dataclasses.field(default=None, compare=False, repr=False)

    @property
    def key(self) -> Key:
        """Everything but priority, the pin and what is shared, which are looked at for each ask."""
        if self._key is None:
            self._key = (
                tuple(self.requests.items()),
                tuple(self.limits.items()),
                self.gpus,
                self.ports,
                tuple(self.selector.items()),
                msgspec.json.encode((self.affinity, self.preferred, self.tolerations))
                if self.affinity or self.preferred or self.tolerations
                else b"",
                self.images,
                self.group,
                self.cluster,
                self.spread,
                self.near,
                self.apart,
                self.wishes,
                self.namespace,
                tuple(sorted(self.labels.items())),
            )
        return self._key


def _holds(value: str | None, operator: str, values: tuple[str, ...]) -> bool:
    match operator:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None


# What may be wrong with a place beyond its own facts, for instance where other Pods are.
Trouble = Literal["spread", "spread-label", "near", "apart", "repelled"]
