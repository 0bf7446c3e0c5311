"""The kinds that a definition makes: one for each served version."""

from typing import Any

from boxfleet.api import kind as kinds
from boxfleet.apiserver.custom import columns, definition, jsonpath, typed, versions
from boxfleet.apiserver.custom import schema as schemas

JsonObject = dict[str, Any]


def kind_of(known: definition.Definition, version: JsonObject, compiled: schemas.VersionSchema) -> kinds.Kind:
    """The kind of one version."""
    parts = version.get("subresources") or {}
    scale = parts.get("scale")
    names = known.accepted
    return kinds.Kind(
        group=known.group,
        version=version["name"],
        kind=names.kind,
        list_kind=names.list_kind,
        plural=names.plural,
        singular=names.singular,
        namespaced=known.obj["spec"]["scope"] == "Namespaced",
        short_names=names.short_names,
        categories=names.categories,
        columns=columns.columns(version.get("additionalPrinterColumns") or []),
        status=parts.get("status") is not None,
        scale=_scale(scale) if scale is not None else None,
        selectable=tuple(
            ".".join(jsonpath.plain_fields(each["jsonPath"]) or ()) for each in version.get("selectableFields") or []
        ),
        default=compiled.default,
        validate=compiled.validate,
        warning=_warning(known, version),
    )


def schema_of(known: definition.Definition, version: JsonObject) -> schemas.VersionSchema:
    """The compiled schema of one version."""
    root = typed.component(known.group, version["name"], known.names.kind)
    return schemas.VersionSchema(root, (version.get("schema") or {}).get("openAPIV3Schema") or {})


def _scale(stated: JsonObject) -> kinds.Scale:
    return kinds.Scale(
        spec_replicas=stated["specReplicasPath"],
        status_replicas=stated["statusReplicasPath"],
        selector=stated.get("labelSelectorPath") or "",
    )


def _warning(known: definition.Definition, version: JsonObject) -> str:
    """What users of a deprecated version are told; the newest one that is not deprecated is recommended."""
    if not version.get("deprecated"):
        return ""
    if version.get("deprecationWarning"):
        return str(version["deprecationWarning"])
    text = f"{known.group}/{version['name']} {known.names.kind} is deprecated"
    better = [each["name"] for each in known.versions if each.get("served") and not each.get("deprecated")]
    better = [name for name in better if versions.priority(name) < versions.priority(version["name"])]
    if not better:
        return text
    return f"{text}; use {known.group}/{min(better, key=versions.priority)} {known.names.kind}"
