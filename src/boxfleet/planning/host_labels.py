"""Labels of a Node that its host says: which values they get, what scripts may say, and what becomes of old ones."""

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from boxfleet.api import labels, names

_LONGEST = 63
_STRANGE = re.compile(r"[^A-Za-z0-9_.-]+")
# Labels of one script: they are read with every Node, by everybody who looks at Nodes.
_MOST = 64

Found = Mapping[str, str]


def of_facts(found: Found) -> dict[str, str]:
    """Facts as labels; those that are not known are left out, names without a prefix get the host's."""
    values = {name if "/" in name else labels.HOST_FACTS + name: value(text) for name, text in found.items()}
    return {name: text for name, text in values.items() if text}


def value(text: str) -> str:
    """The nearest value that a label may have."""
    return _STRANGE.sub("-", text)[:_LONGEST].strip("-_.")


def parse(text: str) -> tuple[dict[str, str], list[str]]:
    """What a script wrote: `name=value` lines, or one JSON object. Labels, and what is wrong in which line."""
    found: dict[str, str] = {}
    faults: list[str] = []
    if text.lstrip().startswith("{"):
        try:
            said = json.loads(text)
        except ValueError as error:
            return {}, [f"line {getattr(error, 'lineno', 1)}: not JSON: {getattr(error, 'msg', error)}"]
        pairs = [(name, _text(each), f"{name!r}") for name, each in said.items()]
    else:
        pairs = []
        for number, line in enumerate(text.splitlines(), start=1):
            name, sign, rest = line.strip().partition("=")
            if sign:
                pairs.append((name.strip(), rest.strip(), f"line {number}"))
            elif name and not name.startswith("#"):
                faults.append(f"line {number}: not name=value: {name[:40]!r}")
    for name, each, place in pairs:
        if fault := _fault(name, each):
            faults.append(f"{place}: {fault}")
        elif each is not None:
            found[labels.HOST_SCRIPTS + name] = each
    if len(found) > _MOST:
        return {}, [f"says {len(found)} labels; {_MOST} are the most"]
    return found, faults


def _text(said: object) -> str | None:
    if isinstance(said, bool):
        return "true" if said else "false"
    return str(said) if isinstance(said, str | int) else None


def _fault(name: str, text: str | None) -> str:
    if "/" in name:
        # Others than the host's own could draw instances that were not meant for it.
        return f"{name[:80]!r} has a prefix; labels of scripts get {labels.HOST_SCRIPTS}"
    if fault := names.label_key(labels.HOST_SCRIPTS + name):
        return f"{name[:80]!r} cannot be a label: {fault}"
    if text is None:
        return f"{name!r} is neither text nor a whole number, true or false"
    if fault := names.label_value(text):
        return f"{text[:80]!r} cannot be a label's value: {fault}"
    return ""


def said_before(annotations: Mapping[str, str]) -> dict[str, str]:
    """What the host said last, by its own note on the Node."""
    try:
        return msgspec.json.decode(annotations.get(labels.HOST_SAID, "{}"), type=dict[str, str])
    except msgspec.MsgspecError:
        return {}


def change(present: Found, found: Found, before: Found, *, keep: str = "") -> dict[str, Any] | None:
    """The merge patch of a Node's metadata that makes its labels true; None when they are.

    A label that somebody else set, or changed since the host said it, is theirs. What the host says no longer goes,
    except below the prefix `keep`.
    """
    changed: dict[str, str | None] = {}
    said: dict[str, str] = {}
    for name, text in sorted(found.items()):
        there = present.get(name)
        if there in (None, text, before.get(name)):
            said[name] = text
            if there != text:
                changed[name] = text
    for name, text in before.items():
        if name in found or present.get(name) != text:
            continue
        if keep and name.startswith(keep):
            said[name] = text
        else:
            changed[name] = None
    if not changed and said == dict(before):
        return None
    return {"labels": changed, "annotations": {labels.HOST_SAID: msgspec.json.encode(said, order="sorted").decode()}}
