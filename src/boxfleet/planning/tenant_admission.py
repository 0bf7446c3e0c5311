"""Tenants beside each other, NamespaceSets beside their Tenant, and what counts against a tenant's quota."""

from collections.abc import Iterable, Iterator
from functools import partial

from boxfleet.api import admission, fields, kind, labels, meta, namespace, tenant, tenant_rules
from boxfleet.planning import counting, tenancy, usage


class _Marks(meta.Object, kw_only=True):
    """A Namespace's labels, and nothing else of it."""

    KIND = namespace.Namespace.KIND


def write_errors(new: kind.JsonObject, old: kind.JsonObject | None, look: admission.Look) -> list[kind.FieldError]:
    """A Tenant that wants what another one has."""
    if old is not None and old.get("spec") == new.get("spec"):
        return []
    for other in look.raw(tenant.Tenant):
        if other["metadata"]["name"] != new["metadata"]["name"] and (why := tenancy.overlap(new, other)):
            return [fields.forbidden("spec", why)]
    return []


def set_errors(new: kind.JsonObject, old: kind.JsonObject | None, look: admission.Look) -> list[kind.FieldError]:
    """A NamespaceSet has its Tenant's name, and its Namespaces have that one's prefix."""
    name = new["metadata"]["name"]
    owner = look.one(tenant.Tenant, name)
    if owner is None:
        return [fields.not_found("metadata.name", name, "a NamespaceSet has the name of its Tenant")]
    start = tenant_rules.prefix(owner)
    names = (new.get("spec") or {}).get("namespaces") or ()
    most = ((owner.get("spec") or {}).get("quota") or {}).get("namespaces")
    given = {each["name"] for each in (owner.get("spec") or {}).get("namespaces") or ()}
    if most is not None and len(given | set(names)) > usage.amount("namespaces", str(most)):
        had = ((old or {}).get("spec") or {}).get("namespaces") or ()
        if len(names) > len(had):
            text = (
                f"exceeded quota: tenant/{name}, requested: namespaces={len(names) - len(had)}, "
                f"used: namespaces={len(given | set(had))}, limited: namespaces={most}"
            )
            return [fields.forbidden("spec.namespaces", text)]
    return [
        fields.forbidden(f"spec.namespaces[{index}]", f"{each} does not begin with {start}, as Tenant {name} demands")
        for index, each in enumerate(names)
        if not each.startswith(start)
    ]


def accounts(
    of: kind.Kind, new: kind.JsonObject | None, old: kind.JsonObject | None, look: admission.Look
) -> Iterable[admission.Account]:
    """The tenants on which a write counts. Raises admission.Refused for a Pod that leaves out what one limits."""
    return _accounts(of, new, old, look) if of.qualified in tenancy.COUNTED else ()


def _accounts(
    of: kind.Kind, new: kind.JsonObject | None, old: kind.JsonObject | None, look: admission.Look
) -> Iterator[admission.Account]:
    totals: dict[str, usage.Amounts] = {}
    for obj, sign in ((new, 1), (old, -1)):
        if obj is None:
            continue
        where, amounts = tenancy.of(of, obj)
        if not where:
            continue
        found = totals.setdefault(where, {})
        for name, value in amounts.items():
            found[name] = found.get(name, 0) + sign * value
    for where, change in totals.items():
        delta = {name: value for name, value in change.items() if value}
        if not delta or (owner := _owner(where, look)) is None:
            continue
        if old is None and new is not None and of.qualified == "pods" and (unsaid := tenancy.unsaid(owner, new)):
            raise admission.Refused(f"failed quota: tenant/{owner['metadata']['name']}: {unsaid}")
        if (owner.get("spec") or {}).get("quota") or (owner.get("status") or {}).get("used"):
            yield admission.Account(
                kind=tenant.Tenant.KIND,
                namespace="",
                name=owner["metadata"]["name"],
                change=partial(_charged, delta=delta),
            )


def _charged(subject: kind.JsonObject, *, delta: usage.Amounts) -> kind.JsonObject | None:
    limited = (subject.get("spec") or {}).get("quota") or {}
    return counting.charged(f"tenant/{subject['metadata']['name']}", subject, delta, limited=limited)


def _owner(where: str, look: admission.Look) -> kind.JsonObject | None:
    space = look.find(_Marks, where)
    name = space.metadata.labels.get(labels.TENANT) if space is not None else None
    return look.one(tenant.Tenant, name) if name else None
