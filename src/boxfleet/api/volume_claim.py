"""PersistentVolumeClaim: storage that outlives the instance. The part that Boxfleet acts on."""

from typing import ClassVar

import msgspec

from boxfleet.api import kind, meta, pod


class ClaimSpec(meta.Model):
    """The wanted storage."""

    accessModes: list[str] = []
    resources: pod.ResourceRequirements = msgspec.field(default_factory=pod.ResourceRequirements)
    storageClassName: str | None = None
    volumeName: str = ""


class ClaimStatus(meta.Model):
    """What became of it."""

    phase: str = ""
    accessModes: list[str] = []
    capacity: dict[str, str] = {}


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
        strategic=True,
    )

    spec: ClaimSpec = msgspec.field(default_factory=ClaimSpec)
    status: ClaimStatus = msgspec.field(default_factory=ClaimStatus)
