"""Tables (meta.k8s.io/v1): what ``kubectl get`` prints, one row per object; and objects cut to their metadata."""

import datetime
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from boxfleet.api import cells
from boxfleet.api import kind as kinds

Include = Literal["Metadata", "Object", "None"]

_META = "meta.k8s.io/v1"
_NAME = kinds.Column(
    name="Name",
    format="name",
    path=".metadata.name",
    description="Name must be unique within a namespace. Is required when creating resources.",
)


def table(
    kind: kinds.Kind,
    objects: Iterable[dict[str, Any]],
    *,
    now: datetime.datetime,
    include: Include = "Metadata",
    resource_version: str = "",
    continue_token: str = "",
    remaining: int | None = None,
    headers: bool = True,
) -> dict[str, Any]:
    """A Table of objects.

    `include` says what of the object each row carries. Rows of a watch leave the columns out after the first
    event (`headers`), as clients expect.
    """
    return document(
        kind,
        rows(kind, objects, now=now, include=include),
        resource_version=resource_version,
        continue_token=continue_token,
        remaining=remaining,
        headers=headers,
    )


def rows(
    kind: kinds.Kind, objects: Iterable[dict[str, Any]], *, now: datetime.datetime, include: Include = "Metadata"
) -> list[dict[str, Any]]:
    """The rows of a Table."""
    columns = _columns(kind)
    return [
        {"cells": [_cell(column, obj, now) for column in columns], "object": _included(obj, include)} for obj in objects
    ]


def document(
    kind: kinds.Kind,
    rows: Sequence[dict[str, Any]],
    *,
    resource_version: str = "",
    continue_token: str = "",
    remaining: int | None = None,
    headers: bool = True,
) -> dict[str, Any]:
    """A Table of rows that are made already."""
    metadata: dict[str, Any] = {}
    if resource_version:
        metadata["resourceVersion"] = resource_version
    if continue_token:
        metadata["continue"] = continue_token
    if remaining is not None:
        metadata["remainingItemCount"] = remaining
    return {
        "kind": "Table",
        "apiVersion": _META,
        "metadata": metadata,
        "columnDefinitions": [_definition(column) for column in _columns(kind)] if headers else None,
        "rows": rows,
    }


def _columns(kind: kinds.Kind) -> Sequence[kinds.Column]:
    columns = kind.columns or (cells.AGE,)
    return columns if any(column.name == _NAME.name for column in columns) else (_NAME, *columns)


def partial_metadata(obj: dict[str, Any]) -> dict[str, Any]:
    """An object cut to its metadata (PartialObjectMetadata)."""
    return {"kind": "PartialObjectMetadata", "apiVersion": _META, "metadata": obj.get("metadata", {})}


def partial_metadata_list(items: Sequence[dict[str, Any]], *, metadata: dict[str, Any] | None = None) -> dict[str, Any]:
    """A list of objects that are cut to their metadata; `metadata` is that of the list."""
    return {
        "kind": "PartialObjectMetadataList",
        "apiVersion": _META,
        "metadata": metadata or {},
        "items": items,
    }


def _definition(column: kinds.Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }


def _cell(column: kinds.Column, obj: dict[str, Any], now: datetime.datetime) -> Any:
    if column.cell is not None:
        return column.cell(obj, now)
    found = cells.find(obj, column.path)
    if column.type == "date":
        return cells.age(found[0] if found else None, now)
    if not found:
        return None if column.type in ("integer", "number", "boolean") else ""
    if column.type in ("integer", "number", "boolean") and len(found) == 1:
        return found[0]
    return _words(found)


def _words(values: Sequence[Any]) -> str:
    return ",".join(_words(value) if isinstance(value, list) else str(value) for value in values)


def _included(obj: dict[str, Any], include: Include) -> dict[str, Any] | None:
    if include == "Object":
        return obj
    return partial_metadata(obj) if include == "Metadata" else None
