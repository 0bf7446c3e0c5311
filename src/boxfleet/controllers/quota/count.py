"""Step 1: what counts against a quota now."""

from typing import Any

from boxfleet.api import catalog, kind, meta
from boxfleet.client import client, errors
from boxfleet.planning import quotas, usage


async def count(api: client.Client, spec: dict[str, Any], *, namespace: str) -> usage.Amounts:
    """Everything in the Namespace that the quota limits; newer than the quota that was read before."""
    found = []
    for each in _counted(spec):
        answer = await api.call("GET", client.path_of(each, namespace=namespace))
        found += [quotas.counted(spec, each.KIND, item) for item in answer.get("items") or ()]
    for name in spec.get("hard") or {}:
        if name.startswith(_COUNT) and name.removeprefix(_COUNT) not in _OURS:
            found.append({name: await _of_others(api, name.removeprefix(_COUNT), namespace=namespace)})
    return usage.total(found)


async def _of_others(api: client.Client, qualified: str, *, namespace: str) -> int:
    """How many objects there are of a kind that a CustomResourceDefinition made; none as long as there is none."""
    plural, _, group = qualified.partition(".")
    try:
        served = await api.call("GET", f"/apis/{group}")
        version = served["preferredVersion"]["groupVersion"]
        answer = await api.call("GET", f"/apis/{version}/namespaces/{namespace}/{plural}")
    except errors.NotFound:
        return 0
    return len(answer.get("items") or ())


def _counted(spec: dict[str, Any]) -> list[type[meta.Object]]:
    """The kinds of which some amount is limited."""
    hard = set(spec.get("hard") or {})
    return [
        each
        for each in catalog.TYPES
        if each.KIND.namespaced and "list" in each.KIND.verbs and _counts(each.KIND, hard)
    ]


def _counts(of: kind.Kind, hard: set[str]) -> bool:
    if {f"count/{of.qualified}", of.qualified} & hard:
        return True
    claims = {name for name in hard if "storage" in name and "ephemeral" not in name}
    if of.qualified == "persistentvolumeclaims":
        return bool(claims)
    return of.qualified == "pods" and any(
        not name.startswith("count/") and (name in _COMPUTE or name.startswith(("requests.", "limits.", "hugepages-")))
        for name in hard - claims
    )


_COUNT = "count/"
_OURS = frozenset(each.KIND.qualified for each in catalog.TYPES)
_COMPUTE = frozenset({"cpu", "memory", "ephemeral-storage"})
