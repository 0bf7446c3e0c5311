"""Tenants: which Namespaces are whose, what is made in them, and what counts against a tenant's quota."""

from typing import Any

from boxfleet.api import kind as kinds
from boxfleet.api import labels, limit_range, rbac_rules, tenant, tenant_rules
from boxfleet.planning import usage

Json = dict[str, Any]

# What is made in a tenant's Namespaces is named by its role, behind this.
PREFIX = "tenant:"
_COMPUTE = ("cpu", "memory")


# Kinds whose objects count, by their qualified name.
COUNTED = frozenset({"pods", "persistentvolumeclaims", f"addresses.{kinds.GROUP}"})


def of(kind: kinds.Kind, obj: Json) -> tuple[str, usage.Amounts]:
    """The Namespace for which an object counts, and what for; nothing for most kinds."""
    if kind.qualified == "pods":
        return obj["metadata"]["namespace"], _of_pod(obj)
    if kind.qualified == "persistentvolumeclaims":
        found = usage.of_claim(obj)
        return obj["metadata"]["namespace"], {"volumes": 1, "storage": found["requests.storage"]}
    if kind.group == kinds.GROUP and kind.plural == "addresses":
        return (obj.get("spec") or {}).get("namespace") or "", {"addresses": 1}
    return "", {}


def _of_pod(pod: Json) -> usage.Amounts:
    if usage.is_final(pod):
        return {}
    asked = usage.of_containers(pod.get("spec") or {}, "requests")
    return {"instances": 1, **{name: asked[name] for name in _COMPUTE if name in asked}}


def unsaid(tenant: Json, pod: Json) -> str:
    """What a new Pod must say because its tenant's use of it is limited; empty when it says all."""
    quota = (tenant.get("spec") or {}).get("quota") or {}
    spec = pod.get("spec") or {}
    missing = []
    for name in _COMPUTE:
        if name not in quota:
            continue
        silent = sorted(
            each.get("name", "")
            for each in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()))
            if name not in ((each.get("resources") or {}).get("requests") or {})
        )
        if silent:
            missing.append(f"requests.{name} for: {','.join(silent)}")
    return f"must specify {'; '.join(missing)}" if missing else ""


def wanted(subject: tenant.Tenant, own: tenant.NamespaceSet | None) -> dict[str, bool]:
    """The Namespaces that are to be the tenant's, and whether one that is there may be taken over."""
    found = {each.name: each.adopt for each in subject.spec.namespaces}
    start = subject.spec.prefix or f"{subject.metadata.name}-"
    for name in own.spec.namespaces if own is not None else ():
        if name.startswith(start):
            found.setdefault(name, False)
    return found


def role_bindings(subject: tenant.Tenant, *, namespace: str) -> dict[str, Json]:
    """The RoleBindings of a Namespace by name: one for each role that somebody has."""
    found: dict[str, Json] = {}
    for member in subject.spec.members:
        name = PREFIX + member.role
        body = found.setdefault(
            name,
            {
                "metadata": {"name": name, "namespace": namespace, "labels": {labels.TENANT: subject.metadata.name}},
                "roleRef": _reference(member.role),
                "subjects": [],
            },
        )
        body["subjects"].append(_subject(member))
    return found


def limits(subject: tenant.Tenant, *, namespace: str) -> dict[str, Json]:
    """The LimitRange of a Namespace by name, when the tenant has limits."""
    if not subject.spec.limits:
        return {}
    name = subject.metadata.name
    items = [_plain(each) for each in subject.spec.limits]
    metadata = {"name": "tenant", "namespace": namespace, "labels": {labels.TENANT: name}}
    return {"tenant": {"metadata": metadata, "spec": {"limits": items}}}


def cluster_rights(subject: tenant.Tenant) -> dict[str, tuple[Json, Json]]:
    """ClusterRoles and their bindings by name: members read their Tenant, its admins choose Namespaces for it."""
    name = subject.metadata.name
    read = [
        {
            "apiGroups": [kinds.GROUP],
            "resources": ["tenants", "namespacesets"],
            "resourceNames": [name],
            "verbs": ["get"],
        }
    ]
    change = [
        {
            "apiGroups": [kinds.GROUP],
            "resources": ["namespacesets"],
            "resourceNames": [name],
            "verbs": ["get", "patch", "update"],
        }
    ]
    admins = [each for each in subject.spec.members if each.role is tenant.MemberRole.TENANT_ADMIN]
    made = {f"{PREFIX}{name}": (read, subject.spec.members), f"{PREFIX}{name}:admin": (change, admins)}
    return {
        role: (
            {"metadata": {"name": role, "labels": {labels.TENANT: name}}, "rules": rules},
            {
                "metadata": {"name": role, "labels": {labels.TENANT: name}},
                "roleRef": _reference(role),
                "subjects": _unique([_subject(each) for each in members]),
            },
        )
        for role, (rules, members) in made.items()
        if members
    }


def _reference(role: str) -> Json:
    return {"apiGroup": rbac_rules.GROUP, "kind": "ClusterRole", "name": role}


def _subject(member: tenant.Member) -> Json:
    if member.kind is tenant.SubjectKind.SERVICE_ACCOUNT:
        return {"kind": member.kind, "name": member.name, "namespace": member.namespace}
    return {"apiGroup": rbac_rules.GROUP, "kind": member.kind, "name": member.name}


def _unique(subjects: list[Json]) -> list[Json]:
    return [each for index, each in enumerate(subjects) if each not in subjects[:index]]


def _plain(item: limit_range.LimitItem) -> Json:
    found: Json = {"type": item.type}
    for key in ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio"):
        if given := getattr(item, key):
            found[key] = dict(given)
    return found


def overlap(new: Json, other: Json) -> str:
    """Why two Tenants cannot be side by side; empty when they can."""
    name = other["metadata"]["name"]
    first, second = tenant_rules.prefix(new), tenant_rules.prefix(other)
    if first.startswith(second) or second.startswith(first):
        return f"Tenant {name} makes Namespaces that begin with {second}: choose another prefix"
    mine = {each["name"] for each in (new.get("spec") or {}).get("namespaces") or ()}
    theirs = {each["name"] for each in (other.get("spec") or {}).get("namespaces") or ()}
    if both := sorted(mine & theirs):
        return f"Namespace {both[0]} is Tenant {name}'s: a Namespace belongs to one tenant"
    if taken := sorted(each for each in mine if each.startswith(second)):
        return f"Namespace {taken[0]} begins with {second}, as only those of Tenant {name} may: choose another name"
    if taken := sorted(each for each in theirs if each.startswith(first)):
        return f"Namespace {taken[0]} is Tenant {name}'s and begins with {first}: choose another prefix"
    return ""
