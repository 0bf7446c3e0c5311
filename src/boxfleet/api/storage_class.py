"""StorageClass: a kind of storage that claims may name (storage.k8s.io/v1)."""

from typing import ClassVar

from boxfleet.api import cells, fields, kind, meta

_RECLAIM = ("Delete", "Retain")
_BINDING = ("Immediate", "WaitForFirstConsumer")
_FIXED = ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode")


def _default(obj: kind.JsonObject) -> None:
    obj.setdefault("reclaimPolicy", _RECLAIM[0])
    obj.setdefault("volumeBindingMode", _BINDING[0])


def _validate(new: kind.JsonObject, old: kind.JsonObject | None) -> list[kind.FieldError]:
    errors = [] if new.get("provisioner") else [fields.required("provisioner")]
    errors += fields.one_of("reclaimPolicy", new.get("reclaimPolicy"), _RECLAIM)
    errors += fields.one_of("volumeBindingMode", new.get("volumeBindingMode"), _BINDING)
    if old is not None:
        errors += [
            fields.forbidden(name, f"updates to {name} are forbidden.")
            for name in _FIXED
            if (old.get(name) or None) != (new.get(name) or None)
        ]
    return errors


class StorageClass(meta.Object, kw_only=True):
    """A kind of storage. On hosts every claim is a folder, whatever class it names."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group="storage.k8s.io",
        version="v1",
        kind="StorageClass",
        plural="storageclasses",
        singular="storageclass",
        short_names=("sc",),
        namespaced=False,
        model="storage_v1.StorageClass",
        status=False,
        columns=(
            kind.Column(name="Provisioner", path=".provisioner", description="Who makes the storage."),
            kind.Column(name="ReclaimPolicy", path=".reclaimPolicy", description="What becomes of it afterwards."),
            kind.Column(name="VolumeBindingMode", path=".volumeBindingMode", description="When it is made."),
            kind.Column(
                name="AllowVolumeExpansion",
                cell=lambda obj, now: str(bool(obj.get("allowVolumeExpansion"))).lower(),
                description="Whether claims may grow.",
            ),
            cells.AGE,
        ),
        default=_default,
        validate=_validate,
        strategic=True,
    )
