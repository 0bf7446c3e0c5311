"""What a Unit says of the Clusters that may run it, and which it likes best."""

import enum
from typing import Annotated, Any

import msgspec

from boxfleet.api import disruption_budget, fields, kind, meta, pod_affinity, taints

_KEY = "kubernetes.io/hostname"


class Preference(enum.StrEnum):
    """Which of the Clusters that will do is taken."""

    FREE = "Free"
    PACKED = "Packed"
    CHEAP = "Cheap"
    NEAR = "Near"


class WhenUnsatisfiable(enum.StrEnum):
    """What happens where instances cannot be spread as asked."""

    DO_NOT_SCHEDULE = "DoNotSchedule"
    SCHEDULE_ANYWAY = "ScheduleAnyway"


class Spread(meta.Model):
    """How evenly a Unit's instances lie over Clusters, or over what their labels name."""

    topologyKey: Annotated[
        str,
        msgspec.Meta(
            description="A label of Clusters, such as topology.kubernetes.io/zone; empty for the Clusters themselves."
        ),
    ] = ""
    maxSkew: Annotated[int, msgspec.Meta(description="How many more instances one may have than another.", ge=1)] = 1
    whenUnsatisfiable: Annotated[
        WhenUnsatisfiable, msgspec.Meta(description="DoNotSchedule: wait. ScheduleAnyway: as well as it goes.")
    ] = WhenUnsatisfiable.DO_NOT_SCHEDULE


class Weight(meta.Model):
    """How large a Cluster's part of the instances is."""

    cluster: Annotated[str, msgspec.Meta(description="Name of a Cluster.")]
    weight: Annotated[int, msgspec.Meta(description="Its part, against the sum of all; 0 for none.", ge=0, le=10000)]


class Failover(meta.Model):
    """What becomes of instances whose Cluster is lost."""

    enabled: Annotated[
        bool,
        msgspec.Meta(
            description="Start them on other Clusters. Those with claims stay where their data is in any case."
        ),
    ] = True
    afterSeconds: Annotated[
        int, msgspec.Meta(description="Seconds that a Cluster has been lost before.", ge=0, le=86400)
    ] = 15


class PlacementPolicy(meta.Model):
    """Rules that must hold, and what is preferred among the Clusters that are left."""

    clusters: Annotated[list[str], msgspec.Meta(description="Only these Clusters; any when empty.")] = []
    clusterSelector: Annotated[
        disruption_budget.LabelSelector | None, msgspec.Meta(description="Only Clusters with such labels.")
    ] = None
    tolerations: Annotated[
        list[pod_affinity.Toleration], msgspec.Meta(description="Taints of Clusters that it puts up with.")
    ] = []
    spread: Annotated[list[Spread], msgspec.Meta(description="How evenly its instances lie.")] = []
    near: Annotated[
        list[str], msgspec.Meta(description="Units of the same Box: only Clusters that run instances of each.")
    ] = []
    apart: Annotated[
        list[str], msgspec.Meta(description="Units of the same Box: only Clusters that run no instance of any.")
    ] = []
    weights: Annotated[
        list[Weight],
        msgspec.Meta(
            description="Parts by Cluster; Clusters without one get none. Empty: by preference.",
            extra=meta.keyed_by("cluster"),
        ),
    ] = []
    prefer: Annotated[
        Preference,
        msgspec.Meta(
            description="Free: most room. Packed: least room, so that others stay empty. Cheap: lowest cost. "
            "Near: shortest way from the control plane."
        ),
    ] = Preference.FREE
    drift: Annotated[
        bool,
        msgspec.Meta(
            description="Move instances, one at a time, when another Cluster suits much better by now. Those with "
            "claims stay where their data is."
        ),
    ] = False
    failover: Annotated[Failover, msgspec.Meta(description="When its Cluster is lost.")] = msgspec.field(
        default_factory=Failover
    )


def validate(found: dict[str, Any], path: str, *, own: str, peers: Any) -> list[kind.FieldError]:
    """Check a policy as JSON data; `peers` are the Units of the Box by name, or None where they are not known."""
    errors = taints.tolerations(found.get("tolerations") or (), f"{path}.tolerations")
    for part in ("near", "apart"):
        for index, name in enumerate(found.get(part) or ()):
            at = f"{path}.{part}[{index}]"
            if name == own:
                errors.append(fields.invalid(at, name, "is the Unit itself: use spread"))
            elif peers is not None and name not in peers:
                errors.append(fields.not_found(at, name, f"the Units of this Box are: {', '.join(sorted(peers))}"))
    for name in sorted(set(found.get("near") or ()) & set(found.get("apart") or ())):
        errors.append(fields.invalid(f"{path}.apart", name, "is in near too: remove it from one of them"))
    keys: set[str] = set()
    for index, spread in enumerate(found.get("spread") or ()):
        key = spread.get("topologyKey", "")
        if key in keys:
            errors.append(fields.duplicate(f"{path}.spread[{index}].topologyKey", key))
        if key == _KEY:
            detail = "hosts are within Clusters: use template.spec.topologySpreadConstraints"
            errors.append(fields.invalid(f"{path}.spread[{index}].topologyKey", key, detail))
        keys.add(key)
    weights = found.get("weights") or ()
    if weights and not any(each.get("weight") for each in weights):
        errors.append(fields.invalid(f"{path}.weights", 0, "at least one Cluster needs a weight above 0"))
    return errors
