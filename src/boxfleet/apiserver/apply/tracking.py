"""Keeping account of creates and updates: whoever changes a field owns it from then on."""

from typing import Any

from boxfleet.apiserver.apply import claims, comparing, fieldsets, managers, shapes, versioned

JsonObject = dict[str, Any]
Entry = managers.Entry


def created(shape: shapes.Record, obj: JsonObject, author: managers.Manager, *, now: str) -> list[Entry]:
    """The entries of a new object: all that its author said and the server filled in for them.

    A status is not theirs: it comes through its subresource.
    """
    fields = claims.whole(shape, obj, fresh=False)
    fields.pop("f:status", None)
    return [author.entry(fields, time=now)] if fields else []


def updated(
    views: versioned.Views,
    old: JsonObject,
    new: JsonObject,
    entries: list[Entry],
    author: managers.Manager,
    *,
    now: str,
) -> list[Entry]:
    """The entries after a change; the same list when no field changed."""
    own = author.api_version
    ours = comparing.compare(views.shape(own), old, new)
    changed, removed = ours
    if not changed and not removed:
        return entries
    compared = versioned.Compared(views, old, new, version=own)
    result = []
    mine: fieldsets.Tree = {}
    for entry in entries:
        theirs = ours if entry["apiVersion"] == own else compared.of(entry["apiVersion"])
        fields = fieldsets.difference(entry["fieldsV1"], theirs.removed)
        if author.is_of(entry):
            mine = fields
            continue
        # Only to the one who changed it last belongs what was changed.
        fields = fieldsets.difference(fields, theirs.changed)
        if fields:
            result.append(entry if fields is entry["fieldsV1"] else {**entry, "fieldsV1": fields})
    if changed and not fieldsets.covers(mine, changed):
        mine = fieldsets.union(mine, changed)
    if mine:
        result.append(author.entry(mine, time=now))
    return managers.arranged(result, now=now)
