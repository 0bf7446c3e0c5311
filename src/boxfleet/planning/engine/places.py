"""What a place offers, and what is used of it."""

import collections
import dataclasses
from collections.abc import Mapping

from boxfleet.api import node
from boxfleet.planning import resources
from boxfleet.planning.engine import asks

# In `offers`: a bound on the sum of limits of a resource. Without one, limits are not counted.
LIMITS = "limits."


@dataclasses.dataclass(slots=True, kw_only=True)
class Place:
    """A node or a cluster with what is used of it."""

    name: str
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    taints: tuple[node.Taint, ...] = ()
    unschedulable: bool = False
    ready: bool = True
    cluster: str = ""
    offers: resources.Amounts = dataclasses.field(default_factory=dict)
    used: resources.Amounts = dataclasses.field(default_factory=dict)
    ports: collections.Counter[asks.Port] = dataclasses.field(default_factory=collections.Counter)
    images: frozenset[str] = frozenset()
    groups: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    # GPUs: their model, and what is free of each in thousandths.
    gpu_model: str = ""
    gpus: tuple[int, ...] = ()

    def take(self, ask: asks.Ask, *, sign: int = 1) -> None:
        """Count an instance as running here; sign -1 takes it back. Of devices a Table keeps account."""
        resources.add(self.used, ask.requests, sign=sign)
        for resource, amount in ask.limits.items():
            self.used[LIMITS + resource] = self.used.get(LIMITS + resource, 0) + sign * amount
        for port in ask.ports:
            self.ports[port] += sign
        if ask.group:
            self.groups[ask.group] += sign


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """The place, or empty and why none will do."""

    place: str
    why_not: str = ""


def overcommitted(offers: Mapping[str, int], percent: Mapping[str, int]) -> resources.Amounts:
    """What a place offers by its pool's policy: percent by resource; `limits.cpu` and the like bound limits."""
    found = {name: amount * percent.get(name, 100) // 100 for name, amount in offers.items()}
    for name, share in percent.items():
        if name.startswith(LIMITS) and (whole := offers.get(name.removeprefix(LIMITS))) is not None:
            found[name] = whole * share // 100
    return found


def policy(text: str) -> dict[str, int]:
    """Read percentages such as ``cpu=200,limits.memory=150``; raises ValueError on what is none."""
    found = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, equals, number = part.partition("=")
        if not equals or not number.isdecimal() or int(number) < 1:
            raise ValueError(f"cannot read {part!r} as a resource and a percentage, such as cpu=200")
        found[name.strip()] = int(number)
    return found
