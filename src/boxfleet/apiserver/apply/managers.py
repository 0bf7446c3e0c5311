"""Who owns what: the entries of ``metadata.managedFields`` (API type ManagedFieldsEntry)."""

import dataclasses
import functools
from typing import Any

import msgspec

from boxfleet.api import kind as kinds
from boxfleet.apiserver.apply import fieldsets

Entry = dict[str, Any]

APPLY = "Apply"
UPDATE = "Update"
# Owns what was there before anybody applied the object, when nobody had kept account.
BEFORE_FIRST_APPLY = "before-first-apply"
# Owns what the oldest updaters owned, when there are too many of them to list.
ANCIENT = "ancient-changes"
UPDATERS_LIMIT = 10
NAME_LIMIT = 128


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Manager:
    """Somebody who writes: a program, by which verb and path it does so, and in which version of the kind."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""

    def is_of(self, entry: Entry) -> bool:
        """Whether an entry is this manager's; an applier is the same one in all versions."""
        return (
            entry["manager"] == self.name
            and entry["operation"] == self.operation
            and entry.get("subresource", "") == self.subresource
            and (self.operation == APPLY or entry["apiVersion"] == self.api_version)
        )

    def entry(self, fields: fieldsets.Tree, *, time: str) -> Entry:
        """What this manager owns since when, as it stands in an object."""
        made = {
            "manager": self.name,
            "operation": self.operation,
            "apiVersion": self.api_version,
            "time": time,
            "fieldsType": "FieldsV1",
            "fieldsV1": fields,
        }
        if self.subresource:
            made["subresource"] = self.subresource
        return made


@functools.lru_cache(maxsize=1024)
def manager(name: str, operation: str, api_version: str, subresource: str) -> Manager:
    """A manager, of those few programs that write again and again."""
    return Manager(name=name, operation=operation, api_version=api_version, subresource=subresource)


def shown(entry: Entry) -> str:
    """A manager as conflicts name it: ``"kubectl-edit" using v1``; appliers without a version."""
    part = f' with subresource "{entry["subresource"]}"' if entry.get("subresource") else ""
    version = f" using {entry['apiVersion']}" if entry["operation"] == UPDATE else ""
    return f'"{entry["manager"]}"{part}{version}'


def from_client(given: list[Entry] | None) -> list[Entry] | None:
    """The entries that a client wrote, an empty list to forget all; None when there are none, or none that make sense.

    As in Kubernetes, an empty list forgets all, and so does a list of one empty entry.
    """
    if given is None:
        return None
    entries = []
    for one in given:
        fields = one.get("fieldsV1") or {}
        known = one.get("operation") in (APPLY, UPDATE) and fieldsets.is_well_formed(fields)
        if not known or name_errors("", one.get("manager") or ""):
            return [] if given == [{}] else None
        entries.append(
            {
                "manager": one.get("manager") or "",
                "operation": one["operation"],
                "apiVersion": one.get("apiVersion") or "",
                **({"time": one["time"]} if one.get("time") else {}),
                "fieldsType": "FieldsV1",
                "fieldsV1": fields,
                **({"subresource": one["subresource"]} if one.get("subresource") else {}),
            }
        )
    return [entry for entry in entries if entry["fieldsV1"]]


def name_errors(path: str, name: str) -> list[kinds.FieldError]:
    """What is wrong with a manager's name."""
    if len(name) > NAME_LIMIT:
        return [kinds.FieldError(path, f"Too long: may not be more than {NAME_LIMIT} bytes", kinds.Reason.TOO_LONG)]
    for place, letter in enumerate(name):
        if not letter.isprintable():
            text = f"Invalid value: {_quoted(name)}: invalid character U+{ord(letter):04X} (at position {place})"
            return [kinds.FieldError(path, text)]
    return []


@functools.lru_cache(maxsize=1024)
def from_user_agent(text: str) -> str:
    """The name of a program that gives none: what its User-Agent begins with."""
    return "".join(letter for letter in text.partition("/")[0] if letter.isprintable())[:NAME_LIMIT]


def arranged(entries: list[Entry], *, now: str) -> list[Entry]:
    """Entries in the order in which objects show them: appliers first, then by time; the oldest of many as one."""
    if len(entries) <= 1:
        return entries
    return sorted(_capped(entries, now=now), key=_place)


def same(some: list[Entry], others: list[Entry]) -> bool:
    """Whether two lists say the same but for times and order."""
    return some == others or sorted(map(_timeless, some)) == sorted(map(_timeless, others))


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _place(entry: Entry) -> tuple[str, ...]:
    return (
        entry["operation"],
        entry.get("time", ""),
        entry["manager"],
        entry["apiVersion"],
        entry.get("subresource", ""),
    )


def _timeless(entry: Entry) -> tuple[str, ...]:
    fields = sorted("/".join(path) for path in fieldsets.paths(entry["fieldsV1"]))
    return (entry["manager"], entry["operation"], entry["apiVersion"], entry.get("subresource", ""), *fields)


def _capped(entries: list[Entry], *, now: str) -> list[Entry]:
    """Fold the oldest updaters into one for each version, until there are no more than allowed."""
    if len(entries) <= UPDATERS_LIMIT:
        return list(entries)
    updaters = sorted((entry for entry in entries if entry["operation"] == UPDATE), key=_place)
    kept = [entry for entry in entries if entry["operation"] != UPDATE]
    folded: dict[str, Entry] = {}
    surplus = len(updaters) - UPDATERS_LIMIT
    while updaters and surplus > 0:
        oldest = updaters.pop(0)
        version = oldest["apiVersion"]
        before = folded.get(version)
        # The first of a version only changes its name: it saves nothing.
        surplus -= before is not None
        fields = fieldsets.union(before["fieldsV1"], oldest["fieldsV1"]) if before is not None else oldest["fieldsV1"]
        ancient = Manager(name=ANCIENT, operation=UPDATE, api_version=version)
        folded[version] = ancient.entry(fields, time=oldest.get("time", now))
    return [*kept, *folded.values(), *updaters]
