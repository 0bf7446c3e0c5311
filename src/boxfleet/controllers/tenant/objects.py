"""Step 2: rights and limits of a tenant."""

from collections.abc import Collection, Iterator
from typing import Any

from boxfleet.api import labels, limit_range, meta, rbac, tenant
from boxfleet.client import client, errors, shared
from boxfleet.kit import tasks
from boxfleet.planning import tenancy

KINDS: tuple[type[meta.Object], ...] = (
    rbac.ClusterRole,
    rbac.ClusterRoleBinding,
    rbac.RoleBinding,
    limit_range.LimitRange,
)
_MANAGER = "boxfleet-tenant-controller"
_AT_ONCE = 8


async def settle(
    api: client.Client, caches: shared.Caches, subject: tenant.Tenant, *, spaces: Collection[str], gone: bool
) -> None:
    """Make what is wanted as it is wanted, and remove the rest. `gone`: the tenant is being deleted."""
    wanted = {} if gone else dict(_wanted(subject, spaces))
    # A role is there before it is given.
    for kind in KINDS:
        bodies = [body for (each, _), body in wanted.items() if each is kind]
        await tasks.gather((_apply(api, kind, body) for body in bodies), limit=_AT_ONCE)
    name = subject.metadata.name
    for kind in KINDS:
        for each in caches.of(kind, labels=labels.TENANT):
            if each.metadata.labels.get(labels.TENANT) == name and (kind, each.key) not in wanted:
                await _remove(api, each)


def _wanted(
    subject: tenant.Tenant, spaces: Collection[str]
) -> Iterator[tuple[tuple[type[meta.Object], meta.Key], dict[str, Any]]]:
    for space in spaces:
        for name, body in tenancy.role_bindings(subject, namespace=space).items():
            yield (rbac.RoleBinding, meta.Key(space, name)), body
        for name, body in tenancy.limits(subject, namespace=space).items():
            yield (limit_range.LimitRange, meta.Key(space, name)), body
    for name, (role, binding) in tenancy.cluster_rights(subject).items():
        yield (rbac.ClusterRole, meta.Key("", name)), role
        yield (rbac.ClusterRoleBinding, meta.Key("", name)), binding


async def _apply(api: client.Client, kind: type[meta.Object], body: dict[str, Any]) -> None:
    data = body["metadata"]
    await api.call(
        "PATCH",
        client.path_of(kind, namespace=data.get("namespace", ""), name=data["name"]),
        query={"fieldManager": _MANAGER, "force": "true"},
        body={"apiVersion": kind.KIND.api_version, "kind": kind.KIND.kind, **body},
        content_type="application/apply-patch+yaml",
    )


async def _remove(api: client.Client, each: meta.Object) -> None:
    data = each.metadata
    try:
        await api.delete(type(each), data.name, namespace=data.namespace, uid=data.uid)
    except (errors.NotFound, errors.Conflict):
        return
