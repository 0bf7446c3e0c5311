"""Step 1: the Namespaces of a tenant."""

import dataclasses
from collections.abc import Mapping

from boxfleet.api import labels, meta, namespace, tenant
from boxfleet.client import cache, client, errors

_MADE = "true"
_REMEDY = "to take it over, set adopt: true beside its name"


@dataclasses.dataclass(slots=True)
class Outcome:
    """The Namespaces that are the tenant's now, what is wrong with others, and which are still going."""

    have: list[str]
    problems: list[str]
    going: list[str]


async def settle(
    api: client.Client, subject: tenant.Tenant, known: cache.Cache[namespace.Namespace], *, wanted: Mapping[str, bool]
) -> Outcome:
    """Make, take over, let go. `wanted`: by name, whether one that is there may be taken over."""
    name = subject.metadata.name
    found = Outcome([], [], [])
    for each, adopt in sorted(wanted.items()):
        space = known.find(each)
        owner = space.metadata.labels.get(labels.TENANT, "") if space is not None else ""
        if space is None:
            await _make(api, each, owner=name)
            found.have.append(each)
        elif space.metadata.deletionTimestamp:
            found.going.append(each)
        elif owner == name:
            found.have.append(each)
        elif owner:
            found.problems.append(f"Namespace {each} belongs to Tenant {owner}")
        elif adopt:
            await api.patch(namespace.Namespace, each, {"metadata": {"labels": {labels.TENANT: name}}})
            found.have.append(each)
        else:
            found.problems.append(f"Namespace {each} is there already: {_REMEDY}")
    for space in known:
        if space.metadata.labels.get(labels.TENANT) == name and space.metadata.name not in wanted:
            await _let_go(api, space, delete=subject.spec.namespacePolicy is tenant.NamespacePolicy.DELETE)
            if space.metadata.deletionTimestamp or subject.spec.namespacePolicy is tenant.NamespacePolicy.DELETE:
                found.going.append(space.metadata.name)
    return found


async def _make(api: client.Client, name: str, *, owner: str) -> None:
    marks = {labels.TENANT: owner, labels.TENANT_MADE: _MADE}
    try:
        await api.create(namespace.Namespace(metadata=meta.ObjectMeta(name=name, labels=marks)))
    except errors.AlreadyExists:
        # The cache will show it.
        return


async def _let_go(api: client.Client, space: namespace.Namespace, *, delete: bool) -> None:
    data = space.metadata
    if data.deletionTimestamp:
        return
    try:
        if delete and data.labels.get(labels.TENANT_MADE) == _MADE:
            await api.delete(namespace.Namespace, data.name, uid=data.uid)
        else:
            change = {"metadata": {"uid": data.uid, "labels": {labels.TENANT: None, labels.TENANT_MADE: None}}}
            await api.patch(namespace.Namespace, data.name, change)
    except errors.NotFound:
        return
