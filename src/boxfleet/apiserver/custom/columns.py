"""Columns of tables from ``additionalPrinterColumns``."""

import datetime
from collections.abc import Callable
from typing import Any

import msgspec

from boxfleet.api import cells
from boxfleet.api import kind as kinds
from boxfleet.apiserver.custom import jsonpath

TYPES = ("boolean", "date", "integer", "number", "string")

Cell = Callable[[kinds.JsonObject, datetime.datetime], object]


def columns(stated: list[dict[str, Any]]) -> tuple[kinds.Column, ...]:
    """The columns of a version; the age alone when it names none, as in Kubernetes."""
    if not stated:
        return (cells.AGE,)
    return tuple(
        kinds.Column(
            name=each["name"],
            type=each["type"],
            format=each.get("format") or "",
            priority=each.get("priority") or 0,
            description=each.get("description")
            or f"Custom resource definition column (in JSONPath format): {each['jsonPath']}",
            cell=_cell(each["type"], jsonpath.compile(each["jsonPath"])),
        )
        for each in stated
    )


def _cell(type_: str, find: Callable[[Any], list[Any]]) -> Cell:
    def cell(obj: kinds.JsonObject, now: datetime.datetime) -> object:
        found = find(obj)
        # Only the first counts, also of several: so does the real server.
        return _shown(type_, found[0], now) if found else None

    return cell


def _shown(type_: str, value: Any, now: datetime.datetime) -> object:
    if value is None:
        return None
    if type_ == "date":
        return cells.age(value, now) if isinstance(value, str) else None
    if type_ == "boolean":
        return value if isinstance(value, bool) else None
    if type_ in ("integer", "number"):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return int(value) if type_ == "integer" else value
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
