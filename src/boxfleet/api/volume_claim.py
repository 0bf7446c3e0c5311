"""PersistentVolumeClaim: storage that outlives the instance. The part that Boxfleet acts on."""

import datetime
from collections.abc import Callable
from typing import ClassVar

import msgspec

from boxfleet.api import cells, claim_rules, kind, meta, pod


class ClaimSpec(meta.Model):
    """The wanted storage."""

    accessModes: list[str] = []
    resources: pod.ResourceRequirements = msgspec.field(default_factory=pod.ResourceRequirements)


class ClaimStatus(meta.Model):
    """What became of it."""

    phase: str = ""
    accessModes: list[str] = []
    capacity: dict[str, str] = {}


_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def _status(claim: kind.JsonObject, now: datetime.datetime) -> str:
    if claim["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return (claim.get("status") or {}).get("phase") or ""


def _bound(claim: kind.JsonObject) -> kind.JsonObject:
    """The status, once there is storage behind the claim: on hosts a folder, which has no PersistentVolume."""
    status: kind.JsonObject = claim.get("status") or {}
    return status if status.get("phase") == "Bound" or (claim.get("spec") or {}).get("volumeName") else {}


def _capacity(claim: kind.JsonObject, now: datetime.datetime) -> str:
    return str((_bound(claim).get("capacity") or {}).get("storage", ""))


def _modes(claim: kind.JsonObject, now: datetime.datetime) -> str:
    return ",".join(_MODES.get(mode, mode) for mode in _bound(claim).get("accessModes") or ())


def _unset(path: str) -> Callable[[kind.JsonObject, datetime.datetime], str]:
    def cell(claim: kind.JsonObject, now: datetime.datetime) -> str:
        return str(next(iter(cells.find(claim, path)), "<unset>"))

    return cell


_COLUMNS = (
    kind.Column(name="Status", cell=_status, description="Pending, Bound or Lost."),
    kind.Column(name="Volume", path=".spec.volumeName", description="The storage behind it."),
    kind.Column(name="Capacity", cell=_capacity, description="How much storage there is."),
    kind.Column(name="Access Modes", cell=_modes, description="Who may use it at once."),
    kind.Column(name="StorageClass", path=".spec.storageClassName", description="What kind of storage it is."),
    kind.Column(
        name="VolumeAttributesClass",
        cell=_unset(".spec.volumeAttributesClassName"),
        description="Which attributes it has.",
    ),
    cells.AGE,
    kind.Column(
        name="VolumeMode", cell=_unset(".spec.volumeMode"), priority=1, description="Filesystem or block device."
    ),
)


class PersistentVolumeClaim(meta.Object, kw_only=True):
    """Storage that outlives the instance; on hosts a folder on the node that first ran it."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group="",
        version="v1",
        kind="PersistentVolumeClaim",
        plural="persistentvolumeclaims",
        singular="persistentvolumeclaim",
        short_names=("pvc",),
        namespaced=True,
        model="core_v1.PersistentVolumeClaim",
        columns=_COLUMNS,
        default=claim_rules.default,
        validate=claim_rules.validate,
        strategic=True,
    )

    spec: ClaimSpec = msgspec.field(default_factory=ClaimSpec)
    status: ClaimStatus = msgspec.field(default_factory=ClaimStatus)
