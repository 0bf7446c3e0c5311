"""Server-side apply: an applier states the fields that it has an opinion on, and owns them.

What it states no longer, and nobody else owns, goes. What another manager owns with another value is a conflict,
unless it is forced.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from boxfleet.apiserver.apply import claims, fieldsets, managers, merging, tracking, versioned

JsonObject = dict[str, Any]
Entry = managers.Entry


class Conflicts(Exception):
    """Others own fields that an apply would change: pairs of a manager's entry and the fields."""

    def __init__(self, found: Sequence[tuple[Entry, fieldsets.Tree]]) -> None:
        super().__init__("the apply is in conflict with other managers")
        self.found = found

    def without(self, allowed: fieldsets.Tree) -> "Conflicts":
        """The conflicts about other fields."""
        left = [(entry, fieldsets.difference(fields, allowed)) for entry, fields in self.found]
        return Conflicts([(entry, fields) for entry, fields in left if fields])

    def causes(self) -> list[tuple[str, str]]:
        """Who is in conflict (as `managers.shown`) about which field, in order."""
        listed = [
            (managers.shown(entry), fieldsets.shown(path))
            for entry, fields in self.found
            for path in fieldsets.paths(fields)
        ]
        return sorted(listed)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The object that an apply wants, not yet defaulted, and who owns its fields then."""

    obj: JsonObject
    entries: list[Entry]


def apply(
    views: versioned.Views,
    live: JsonObject,
    applied: JsonObject,
    entries: list[Entry],
    applier: managers.Manager,
    *,
    now: str,
    force: bool,
) -> Outcome:
    """Lay what an applier states over the live object (empty: there is none yet).

    Raises Conflicts, and `claims.DuplicateItem` when an item of a list cannot be told from another.
    """
    version = applier.api_version
    shape = views.shape(version)
    if live and not entries:
        before = managers.Manager(
            name=managers.BEFORE_FIRST_APPLY, operation=managers.UPDATE, api_version=applier.api_version
        )
        entries = tracking.created(shape, live, before, now=now)
    claimed = claims.applied(shape, applied) or {}
    former = next((entry for entry in entries if applier.is_of(entry)), None)
    others = [entry for entry in entries if entry is not former]
    merged = merging.merge(shape, live, applied)
    if former is not None:
        owned = versioned.owned([(version, claimed), *((entry["apiVersion"], entry["fieldsV1"]) for entry in others)])
        merged = versioned.remove(
            views, merged, former["fieldsV1"], given_up_in=former["apiVersion"], owned=owned, version=version
        )
    compared = versioned.Compared(views, live, merged, version=version)
    conflicts = [
        (entry, fields)
        for entry in others
        if (fields := fieldsets.intersection(entry["fieldsV1"], compared.of(entry["apiVersion"]).changed))
    ]
    if conflicts and not force:
        raise Conflicts(conflicts)
    kept = []
    for entry in others:
        changed, removed = compared.of(entry["apiVersion"])
        fields = fieldsets.difference(fieldsets.difference(entry["fieldsV1"], changed), removed)
        if fields:
            kept.append({**entry, "fieldsV1": fields})
    if claimed:
        since = now
        if former is not None and former["apiVersion"] == version and former["fieldsV1"] == claimed:
            changed, removed = compared.of(version)
            since = now if changed or removed else former.get("time", now)
        kept.append(applier.entry(claimed, time=since))
    return Outcome(obj=merged, entries=managers.arranged(kept, now=now))
