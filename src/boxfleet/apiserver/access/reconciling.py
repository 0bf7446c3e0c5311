"""Default roles and bindings are there from the start, and whole again after every start."""

import copy
from collections.abc import Iterable
from typing import Any

import msgspec

from boxfleet.api import kind as kinds
from boxfleet.api import rbac, rbac_objects
from boxfleet.apiserver import objects, registry
from boxfleet.apiserver.access import rules
from boxfleet.kit import ids, tasks
from boxfleet.store import errors

JsonObject = dict[str, Any]

_KINDS = {
    each.KIND.kind: each.KIND for each in (rbac.Role, rbac.ClusterRole, rbac.RoleBinding, rbac.ClusterRoleBinding)
}
# Written at once: they go to disk together.
_TOGETHER = 256


async def reconcile(known: registry.Registry, wanted: Iterable[JsonObject]) -> None:
    """Make what is missing, and put back what is missing of what is there."""
    await tasks.gather((_one(known, _KINDS[each["kind"]], each) for each in wanted), limit=_TOGETHER)


async def _one(known: registry.Registry, kind: kinds.Kind, wanted: JsonObject) -> None:
    data = wanted["metadata"]
    namespace = data.get("namespace", "")
    while True:
        row = known.store.get(registry.key(kind, namespace=namespace, name=data["name"]))
        if row is None:
            obj, expected = _fresh(known, kind, wanted), 0
        else:
            old = registry.decode(row.value)
            if kind.kind.endswith("Binding") and old.get("roleRef") != wanted["roleRef"] and _is_kept(old):
                await _try(known, kind, old, expected=row.revision, deleted=True)
                continue
            obj, expected = completed(old, wanted), row.revision
            if obj == old:
                return
        if await _try(known, kind, obj, expected=expected):
            return


async def _try(
    known: registry.Registry, kind: kinds.Kind, obj: JsonObject, *, expected: int, deleted: bool = False
) -> bool:
    try:
        await known.put(kind, obj, expected=expected, deleted=deleted)
    except errors.Conflict:
        # Another server was faster.
        return False
    return True


def _fresh(known: registry.Registry, kind: kinds.Kind, wanted: JsonObject) -> JsonObject:
    namespace = wanted["metadata"].get("namespace", "")
    return objects.prepare_create(
        kind, copy.deepcopy(wanted), namespace=namespace, now=known.clock.now(), uid=ids.new_uid()
    )


def _is_kept(old: JsonObject) -> bool:
    return (old["metadata"].get("annotations") or {}).get(rbac_objects.AUTOUPDATE) != "false"


def completed(old: JsonObject, wanted: JsonObject) -> JsonObject:
    """A stored role or binding with what it lacks of the default one; what people added stays."""
    if not _is_kept(old):
        return old
    new = copy.deepcopy(old)
    for field in ("labels", "annotations"):
        both = (wanted["metadata"].get(field) or {}) | (old["metadata"].get(field) or {})
        if both:
            new["metadata"][field] = both
    if "rules" in wanted:
        owned = _rules(old.get("rules"))
        lacking = [each for each in wanted["rules"] if rules.missing(owned, _rules([each]))]
        if lacking:
            new["rules"] = [*(old.get("rules") or []), *lacking]
    if "aggregationRule" in wanted:
        _complete_list(new.setdefault("aggregationRule", {}), wanted["aggregationRule"], "clusterRoleSelectors")
    if "subjects" in wanted:
        _complete_list(new, wanted, "subjects")
    return new


def _complete_list(new: JsonObject, wanted: JsonObject, field: str) -> None:
    there = new.get(field) or []
    lacking = [each for each in wanted[field] if each not in there]
    if lacking:
        new[field] = [*there, *lacking]


def _rules(given: Any) -> list[rules.Rule]:
    return msgspec.convert(given or [], list[rules.Rule])
