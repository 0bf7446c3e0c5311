"""Defaults of and rules for Tenants and NamespaceSets."""

from typing import Any

from boxfleet.api import fields, kind, limit_rules, names, pod_defaults, resource_names

# What a tenant's quota may limit.
RESOURCES = ("cpu", "memory", "instances", "volumes", "storage", "addresses", "namespaces")
_COUNTED = frozenset(RESOURCES) - {"cpu", "memory", "storage"}
# Nobody's, whatever a Tenant says.
_SYSTEM = ("default", "kube-")

Errors = list[kind.FieldError]
Json = dict[str, Any]


def default(obj: Json) -> None:
    """Quantities in their canonical form, and what limits leave out."""
    spec = obj.get("spec") or {}
    quota = spec.get("quota") or {}
    for name, value in quota.items():
        quota[name] = pod_defaults.canonical(value)
    limit_rules.default({"spec": {"limits": spec.get("limits") or []}})


def prefix(obj: Json) -> str:
    """What the names of Namespaces begin with that a tenant makes by itself."""
    return (obj.get("spec") or {}).get("prefix") or f"{obj['metadata']['name']}-"


def validate(new: Json, old: Json | None) -> Errors:
    """A Tenant as it is written."""
    spec = new.get("spec") or {}
    errors: Errors = []
    if fault := names.label(name := new["metadata"].get("name", "")):
        errors.append(fields.invalid("metadata.name", name, fault))
    if (given := spec.get("prefix")) and (fault := names.label(given + "x")):
        errors.append(fields.invalid("spec.prefix", given, fault))
    seen: set[str] = set()
    for index, each in enumerate(spec.get("namespaces") or ()):
        errors += _namespace(f"spec.namespaces[{index}].name", each.get("name", ""), seen)
    for index, member in enumerate(spec.get("members") or ()):
        errors += _member(f"spec.members[{index}]", member)
    for name, value in (spec.get("quota") or {}).items():
        path = f"spec.quota[{name}]"
        if name not in RESOURCES:
            errors.append(fields.not_supported(path, name, RESOURCES))
            continue
        # Whole numbers are counted like Pods.
        errors += resource_names.quantity_errors(path, "pods" if name in _COUNTED else name, value)
    return errors + limit_rules.limits(spec.get("limits") or [], "spec.limits")


def validate_set(new: Json, old: Json | None) -> Errors:
    """A NamespaceSet as it is written."""
    seen: set[str] = set()
    return [
        error
        for index, name in enumerate((new.get("spec") or {}).get("namespaces") or ())
        for error in _namespace(f"spec.namespaces[{index}]", name, seen)
    ]


def _namespace(path: str, name: str, seen: set[str]) -> Errors:
    if fault := names.label(name):
        return [fields.invalid(path, name, fault)]
    if name == _SYSTEM[0] or name.startswith(_SYSTEM[1]):
        return [fields.forbidden(path, f"{name} belongs to the platform: no tenant can have it")]
    if name in seen:
        return [fields.duplicate(path, name)]
    seen.add(name)
    return []


def _member(path: str, member: Json) -> Errors:
    errors: Errors = []
    name = member.get("name", "")
    if not name:
        errors.append(fields.required(f"{path}.name"))
    elif name.startswith("system:") and member.get("kind") != "ServiceAccount":
        # Everybody who is known is in a group of the system: that is no member of a tenant.
        errors.append(fields.forbidden(f"{path}.name", "names that begin with system: are not people's"))
    if member.get("kind") == "ServiceAccount":
        if not member.get("namespace"):
            errors.append(fields.required(f"{path}.namespace", "a ServiceAccount is in a Namespace"))
    elif member.get("namespace"):
        errors.append(fields.forbidden(f"{path}.namespace", "only a ServiceAccount is in a Namespace"))
    return errors
