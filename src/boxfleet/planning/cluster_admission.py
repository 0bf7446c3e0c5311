"""Clusters that may not be deleted while they run instances."""

from boxfleet.api import admission, cluster, kind, placement

# Units that are named when a Cluster cannot go; the rest is a number.
_NAMED = 3


def kept_by(old: kind.JsonObject, look: admission.Look) -> str:
    """Why a Cluster may not go; empty when it may, by its own policy or because it runs nothing."""
    spec = old.get("spec") or {}
    if spec.get("onDelete") != cluster.OnDelete.REFUSE:
        return ""
    name = old["metadata"]["name"]
    shares = [each for each in look.all(placement.Placement) if each.spec.cluster == name and each.spec.ordinals]
    if not shares:
        return ""
    shown = [f"{each.metadata.namespace}/{each.spec.unit}" for each in shares[:_NAMED]]
    if len(shares) > _NAMED:
        shown.append(f"{len(shares) - _NAMED} more")
    return (
        f"it runs instances of {', '.join(shown)} and its spec.onDelete is Refuse: move them first (`boxfleet cluster "
        f"cordon {name}` keeps new ones away), or set spec.onDelete to Move or Release"
    )
