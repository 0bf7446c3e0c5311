"""Kinds that users added, for controllers that treat all kinds alike. They come and go, so they are asked for."""

import msgspec

from boxfleet.api import kind, meta
from boxfleet.client import client, errors


class _Names(meta.Model):
    kind: str = ""
    plural: str = ""
    singular: str = ""


class _Version(meta.Model):
    name: str
    served: bool = False
    storage: bool = False


class _Spec(meta.Model):
    group: str = ""
    scope: str = ""
    names: _Names = msgspec.field(default_factory=_Names)
    versions: list[_Version] = []


class _Status(meta.Model):
    conditions: list[meta.Condition] = []


class Definition(meta.Object, kw_only=True):
    """A CustomResourceDefinition."""

    KIND = kind.Kind(
        group="apiextensions.k8s.io",
        version="v1",
        kind="CustomResourceDefinition",
        plural="customresourcedefinitions",
        singular="customresourcedefinition",
        namespaced=False,
    )

    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


async def namespaced(api: client.Client) -> list[type[meta.Object]]:
    """The served kinds whose objects live in Namespaces, reduced to metadata."""
    try:
        known = (await api.list(Definition)).items
    except errors.NotFound:
        return []
    return [made for each in known if each.spec.scope == "Namespaced" and (made := metadata_of(each)) is not None]


def metadata_of(known: Definition) -> type[meta.Object] | None:
    """The kind that a definition serves, reduced to metadata; None while it serves none."""
    if not meta.is_true(known.status.conditions, "Established"):
        return None
    if not any(version.served for version in known.spec.versions):
        return None
    names = known.spec.names
    # The stored version needs no conversion.
    versions = sorted((each for each in known.spec.versions if each.served), key=lambda each: not each.storage)
    info = kind.Kind(
        group=known.spec.group,
        version=versions[0].name,
        kind=names.kind,
        plural=names.plural,
        singular=names.singular,
        namespaced=known.spec.scope == "Namespaced",
    )
    return type(names.kind, (meta.Object,), {"KIND": info, "METADATA_ONLY": True, "__doc__": "A custom kind."})
