"""Field errors in Kubernetes' words: what the cause of a refusal says about one field."""

from collections.abc import Iterable
from typing import Any

import msgspec

from boxfleet.api import kind

_SHOWN = 80


def required(field: str, detail: str = "") -> kind.FieldError:
    """The field must be there and not be empty."""
    return kind.FieldError(field, f"Required value: {detail}" if detail else "Required value", kind.Reason.REQUIRED)


def invalid(field: str, value: Any, detail: str) -> kind.FieldError:
    """The value cannot be used; the detail says what would be right."""
    return kind.FieldError(field, f"Invalid value: {shown(value)}: {detail}", kind.Reason.INVALID)


def invalid_hidden(field: str, detail: str) -> kind.FieldError:
    """Like `invalid`, for values that are confidential or long."""
    return kind.FieldError(field, f"Invalid value: {detail}", kind.Reason.INVALID)


def not_supported(field: str, value: Any, supported: Iterable[str]) -> kind.FieldError:
    """The value is none of a fixed few."""
    words = ", ".join(f'"{word}"' for word in supported)
    message = f"Unsupported value: {shown(value)}: supported values: {words}"
    return kind.FieldError(field, message, kind.Reason.NOT_SUPPORTED)


def duplicate(field: str, value: Any) -> kind.FieldError:
    """The value was used before where it must be unique."""
    return kind.FieldError(field, f"Duplicate value: {shown(value)}", kind.Reason.DUPLICATE)


def forbidden(field: str, detail: str) -> kind.FieldError:
    """The field may not be set, or not be changed."""
    return kind.FieldError(field, f"Forbidden: {detail}", kind.Reason.FORBIDDEN)


def not_found(field: str, value: Any, detail: str = "") -> kind.FieldError:
    """What the value names is not there."""
    message = f"Not found: {shown(value)}{f': {detail}' if detail else ''}"
    return kind.FieldError(field, message, kind.Reason.NOT_FOUND)


def too_long(field: str, limit: int, unit: str) -> kind.FieldError:
    """The value has more characters, bytes or items than allowed."""
    return kind.FieldError(field, f"Too long: may not be more than {limit} {unit}", kind.Reason.TOO_LONG)


def shown(value: Any) -> str:
    """A value as JSON, cut where it gets long."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 4]}..."


def one_of(field: str, value: Any, supported: Iterable[str]) -> list[kind.FieldError]:
    """Refuse a value that is set but none of a fixed few."""
    supported = tuple(supported)
    return [] if value is None or value in supported else [not_supported(field, value, supported)]


def between(field: str, value: int | None, low: int, high: int | None = None) -> list[kind.FieldError]:
    """Refuse a number that is set but out of bounds."""
    if value is None or (value >= low and (high is None or value <= high)):
        return []
    detail = f"must be between {low} and {high}" if high is not None else f"must be greater than or equal to {low}"
    return [invalid(field, value, detail)]
