"""Which instances of a Unit to make, to replace and to take away now."""

import dataclasses
from collections.abc import Collection, Mapping

from boxfleet.planning import instances


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What may be done at once, each list in the order in which to do it."""

    # Ordinals that have no Pod.
    missing: tuple[int, ...] = ()
    # Above the wanted number, highest first.
    surplus: tuple[instances.Instance, ...] = ()
    # Ended for good though they should run (evicted, node gone).
    failed: tuple[instances.Instance, ...] = ()
    # Of an older revision and next in turn.
    outdated: tuple[instances.Instance, ...] = ()
    # How many of the wanted ones are of the newest revision.
    updated: int = 0


def plan(
    *,
    replicas: int,
    existing: Collection[instances.Instance],
    outdated: Mapping[int, bool],
    restart_policy: str = "Always",
) -> Steps:
    """Decide from what is there.

    `outdated` says for an ordinal whether its Pod differs from what is wanted. A rolling update goes from the
    highest ordinal down, one at a time, and on only when everything already updated is ready; outdated
    instances that are not ready are replaced at once, so that a broken release can be repaired.
    """
    by_ordinal = {instance.ordinal: instance for instance in existing}
    wanted = [by_ordinal[ordinal] for ordinal in range(replicas) if ordinal in by_ordinal]
    alive = [instance for instance in wanted if not instance.terminating]
    failed = [instance for instance in alive if instance.failed and restart_policy != "Never"]
    # A run-to-end instance that has ended well is not run again merely because a peer's address changed.
    old = [instance for instance in alive if outdated.get(instance.ordinal, False) and instance not in failed]
    return Steps(
        missing=tuple(ordinal for ordinal in range(replicas) if ordinal not in by_ordinal),
        surplus=tuple(
            instance
            for ordinal, instance in sorted(by_ordinal.items(), reverse=True)
            if ordinal >= replicas and not instance.terminating
        ),
        failed=tuple(failed),
        outdated=_next(replicas=replicas, alive=alive, old=old),
        updated=sum(1 for instance in alive if not outdated.get(instance.ordinal, False)),
    )


def _next(
    *, replicas: int, alive: list[instances.Instance], old: list[instances.Instance]
) -> tuple[instances.Instance, ...]:
    broken = [instance for instance in old if not (instance.ready or instance.succeeded)]
    if broken:
        return tuple(reversed(broken))
    if not old:
        return ()
    settled = sum(1 for instance in alive if instance.ready or instance.succeeded)
    # Everything that is not settled by now is being replaced: one at a time.
    return (old[-1],) if settled == replicas else ()
