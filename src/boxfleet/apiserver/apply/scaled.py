"""Who owns the number of replicas: entries of an object as entries of its Scale, and back.

As in Kubernetes, a Scale has no account of its own: whoever owns the field in the object owns ``.spec.replicas`` in it.
"""

import functools
from collections.abc import Mapping

from boxfleet.apiserver.apply import fieldsets, managers

Entry = managers.Entry
# Path elements of the field, by the apiVersion of the object in which it is there.
Places = Mapping[str, tuple[str, ...]]

API_VERSION = "autoscaling/v1"
REPLICAS = ("f:spec", "f:replicas")


def place(path: str) -> tuple[str, ...]:
    """The path elements of a dotted path."""
    return tuple(f"f:{step}" for step in path.strip(".").split("."))


def of_scale(entries: list[Entry], places: Places) -> list[Entry]:
    """The entries of the Scale of an object that has these."""
    return [
        {**entry, "apiVersion": API_VERSION, "fieldsV1": _only(REPLICAS)} for entry in entries if _owns(entry, places)
    ]


def of_object(entries: list[Entry], scaled: list[Entry], places: Places, *, api_version: str, now: str) -> list[Entry]:
    """The entries of an object that had these, now that its Scale has those; new ones are of this apiVersion."""
    left = {_who(entry): entry for entry in scaled if _has(entry["fieldsV1"], REPLICAS)}
    result = []
    for entry in entries:
        if not _owns(entry, places):
            result.append(entry)
        elif _who(entry) in left:
            del left[_who(entry)]
            result.append(entry)
        elif fields := fieldsets.difference(entry["fieldsV1"], _only(places[entry["apiVersion"]])):
            result.append({**entry, "fieldsV1": fields})
    result += [{**entry, "apiVersion": api_version, "fieldsV1": _only(places[api_version])} for entry in left.values()]
    return managers.arranged(result, now=now)


def _owns(entry: Entry, places: Places) -> bool:
    where = places.get(entry["apiVersion"])
    return where is not None and _has(entry["fieldsV1"], where)


def _has(fields: fieldsets.Tree, where: tuple[str, ...]) -> bool:
    return fieldsets.covers(fields, _only(where))


def _only(where: tuple[str, ...]) -> fieldsets.Tree:
    return functools.reduce(lambda below, element: {element: below}, reversed(where), fieldsets.Tree())


def _who(entry: Entry) -> tuple[str, str, str]:
    return entry["manager"], entry["operation"], entry.get("subresource", "")
