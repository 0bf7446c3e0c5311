"""Step 3: what may be made now, and what the rest waits for."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from boxfleet.controllers.unit import observe, render
from boxfleet.planning import dependencies, facts, manifest

NAME_CONFLICT = "NameConflict"
QUOTA_EXCEEDED = "QuotaExceeded"
WAITING_FOR_CLAIM = "WaitingForClaim"


@dataclasses.dataclass(frozen=True, slots=True)
class Ready:
    """An instance with all that it is made from."""

    ordinal: int
    cluster: str
    # Empty on the host's network.
    address: str
    rendered: facts.Rendered


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """Instances that can be made, and why the others cannot."""

    ready: Sequence[Ready]
    blocked: dependencies.Blocked | None


def judge(
    situation: observe.Situation,
    ordinals: Sequence[int],
    *,
    renderings: render.Renderings,
    addresses: Mapping[str, str],
    address_problem: Callable[[], dependencies.Blocked | None],
    obstacles: Mapping[int, dependencies.Blocked],
) -> Verdict:
    """Sort the instances that are asked for.

    `address_problem` says why there are no addresses, if anything is wrong; `obstacles` are, by ordinal, things of
    the instance's names that are in its way.
    """
    if not ordinals:
        return Verdict((), None)
    blocked = dependencies.waits_for(situation.unit, situation.siblings.get)
    if blocked is not None:
        return Verdict((), blocked)
    ready: list[Ready] = []
    reasons: list[dependencies.Blocked] = []
    for ordinal in ordinals:
        one: Ready | dependencies.Blocked
        if ordinal in obstacles:
            one = obstacles[ordinal]
        else:
            one = _one(situation, ordinal, renderings, addresses, address_problem)
        if isinstance(one, Ready):
            ready.append(one)
        else:
            reasons.append(one)
    return Verdict(ready, reasons[0] if reasons else None)


def _one(
    situation: observe.Situation,
    ordinal: int,
    renderings: render.Renderings,
    addresses: Mapping[str, str],
    address_problem: Callable[[], dependencies.Blocked | None],
) -> Ready | dependencies.Blocked:
    name = manifest.instance_name(situation.unit, ordinal)
    cluster = situation.clusters.get(ordinal, "")
    if not cluster:
        if situation.unprovided:
            what = f"instance {name} waits for the scheduler to choose its cluster, one that runs a provider of"
            return dependencies.Blocked("WaitingForProvider", f"{what} {' and '.join(situation.unprovided)}")
        return dependencies.Blocked(
            "WaitingForPlacement",
            f"instance {name} waits for a cluster: see `boxfleet why {situation.unit.metadata.name}`",
        )
    address = "" if situation.template.spec.hostNetwork else addresses.get(name, "")
    if not address and not situation.template.spec.hostNetwork:
        return _address_wait(f"instance {name} waits for its address", address_problem)
    if ordinal in renderings.pending:
        return _address_wait(f"instance {name} waits for {renderings.pending[ordinal]}", address_problem)
    rendered = renderings.done.get(ordinal)
    if rendered is None:
        return dependencies.Blocked("FilesNotRendered", str(renderings.error))
    return Ready(ordinal, cluster, address, rendered)


def _address_wait(what: str, address_problem: Callable[[], dependencies.Blocked | None]) -> dependencies.Blocked:
    problem = address_problem()
    if problem is not None:
        return dependencies.Blocked(problem.reason, f"{what}: {problem.message}")
    return dependencies.Blocked("WaitingForAddress", what)
