"""Level one: which cluster runs which instances of a Unit."""

from collections.abc import Collection, Mapping

from boxfleet.api import placement
from boxfleet.planning import instances, scheduling


def divide(
    *, replicas: int, placed: Mapping[str, Collection[int]], ask: scheduling.Ask, clusters: Collection[scheduling.Place]
) -> dict[str, list[int]]:
    """Ordinals by cluster.

    An ordinal stays with the cluster that has it; new ones go one by one where the engine says. When no cluster
    has room they go to the freest: there the instance then says what it waits for. Without any cluster, nothing.
    """
    shares: dict[str, list[int]] = {}
    homeless = set(range(replicas))
    for name, ordinals in sorted(placed.items()):
        # A crash between two writes may leave an ordinal in two shares: the first one keeps it.
        shares[name] = sorted(homeless.intersection(ordinals))
        homeless.difference_update(ordinals)
    rank = {place.name: place for place in clusters}
    for ordinal in sorted(homeless):
        chosen = scheduling.choose(ask, clusters).place or _freest(ask, clusters)
        if not chosen:
            break
        rank[chosen].take(ask)
        shares.setdefault(chosen, []).append(ordinal)
    return {name: sorted(ordinals) for name, ordinals in shares.items()}


def status_of(share: placement.Placement, existing: Collection[instances.Instance]) -> placement.PlacementStatus:
    """How far the instances of a share are."""
    ordinals = frozenset(share.spec.ordinals)
    mine = [each for each in existing if each.ordinal in ordinals]
    return placement.PlacementStatus(
        observedGeneration=share.metadata.generation,
        replicas=len(mine),
        readyReplicas=sum(each.ready for each in mine),
    )


def _freest(ask: scheduling.Ask, clusters: Collection[scheduling.Place]) -> str:
    return min(clusters, key=lambda place: (-scheduling.score(ask, place), place.name)).name if clusters else ""
