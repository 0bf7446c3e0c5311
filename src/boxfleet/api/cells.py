"""What the cells of tables have in common: ages and words, as kubectl's users know them."""

import datetime
import re
from typing import Any

from boxfleet.api import kind
from boxfleet.kit import clock

NONE = "<none>"
UNKNOWN = "<unknown>"

_STEP = re.compile(r"\.((?:[\w-]|\\.)+)|\[(\d+)\]|\[\*\]|\[\?\(@\.([\w.]+)==[\"']([^\"']*)[\"']\)\]")


def duration(seconds: float) -> str:
    """A length of time in two units at most, rounded down: ``5m``, ``3h25m``, ``12d``.

    The steps are those of Kubernetes' HumanDuration.
    """
    if seconds < -1:
        return "<invalid>"
    whole = max(0, int(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 120:
        return f"{whole}s"
    if minutes < 10:
        return _pair(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _pair(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _pair(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    if days < 2920:
        return _pair(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def age(timestamp: Any, now: datetime.datetime) -> str:
    """How long ago a timestamp was; ``<unknown>`` without one."""
    if not isinstance(timestamp, str) or not timestamp:
        return UNKNOWN
    try:
        return duration((now - clock.parse(timestamp)).total_seconds())
    except (ValueError, TypeError):
        return "<invalid>"


def created(obj: kind.JsonObject, now: datetime.datetime) -> str:
    """The age of an object."""
    return age(obj.get("metadata", {}).get("creationTimestamp"), now)


AGE = kind.Column(
    name="Age",
    cell=created,
    path=".metadata.creationTimestamp",
    description="Time since the object was created.",
)


def find(obj: Any, path: str) -> list[Any]:
    """What a JSONPath leads to, in the subset of printer columns: names, indexes, ``[*]`` and ``[?(@.a=="b")]``."""
    values = [obj]
    for match in _STEP.finditer(path):
        name, index, key, wanted = match.groups()
        if name is not None:
            plain = name.replace("\\", "")
            values = [value[plain] for value in values if isinstance(value, dict) and plain in value]
        elif index is not None:
            values = [v[int(index)] for v in values if isinstance(v, list) and int(index) < len(v)]
        else:
            items = [item for value in values if isinstance(value, list) for item in value]
            values = items if key is None else [item for item in items if find(item, f".{key}") == [wanted]]
    return values


def conditions(obj: kind.JsonObject) -> dict[str, dict[str, Any]]:
    """The conditions in an object's status by type."""
    listed = obj.get("status", {}).get("conditions") or []
    return {condition.get("type", ""): condition for condition in listed}


def state_word(obj: kind.JsonObject, now: datetime.datetime) -> str:
    """One word for how an object of our own is: from its deletion, or from its conditions Ready and Progressing."""
    if obj.get("metadata", {}).get("deletionTimestamp"):
        return "Terminating"
    found = conditions(obj)
    ready = found.get("Ready", {})
    if ready.get("status") == "True":
        if ready.get("reason") == "Completed":
            return "Completed"
        return "Updating" if found.get("Progressing", {}).get("status") == "True" else "Ready"
    return ready.get("reason") or "Pending"


def state_message(obj: kind.JsonObject, now: datetime.datetime) -> str:
    """The sentence behind the word; nothing while all is well."""
    ready = conditions(obj).get("Ready", {})
    return "" if ready.get("status") == "True" else ready.get("message", "")


STATE = kind.Column(
    name="Status",
    cell=state_word,
    path='.status.conditions[?(@.type=="Ready")].reason',
    description="What it is, or what it waits for, in a word.",
)
REASON = kind.Column(
    name="Reason",
    cell=state_message,
    path='.status.conditions[?(@.type=="Ready")].message',
    priority=1,
    description="Why it is not Ready.",
)


def _pair(first: int, unit: str, second: int, small_unit: str) -> str:
    return f"{first}{unit}{second}{small_unit}" if second else f"{first}{unit}"
