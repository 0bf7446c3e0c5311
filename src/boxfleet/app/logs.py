"""Logs of the services: JSON lines on standard output, which s6-log keeps and rotates. No line holds a secret."""

import logging
import os
import re
import stat
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import msgspec
import structlog

from boxfleet.app import log_pipe
from boxfleet.kit import clock

# Values of these keys, and bearer tokens wherever they stand, are never written.
_SECRET_KEYS = frozenset({"token", "password", "authorization", "secret", "key", "credential"})
_BEARER = re.compile(r"(?i)(bearer )[\w.~+/=-]{8,}")
_HIDDEN = "***"


def set_up(service: str, *, level: str) -> None:
    """Send structlog and the standard library's logging to standard output as JSON lines."""
    number = getattr(logging, level.upper())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.processors.format_exc_info,
            _Stamp(service),
            hide_secrets,
            structlog.processors.JSONRenderer(serializer=_encode),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(_sink()),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [_ToStructlog()]
    # Libraries speak when something is wrong, not about each request.
    root.setLevel(max(number, logging.WARNING))


def _sink() -> TextIO:
    """Standard output; when that is a pipe, one that never blocks."""
    try:
        handle = sys.stdout.fileno()
    except OSError:
        return sys.stdout
    if stat.S_ISFIFO(os.fstat(handle).st_mode):
        return cast(TextIO, log_pipe.LogPipe(handle))
    return sys.stdout


def hide_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank out what must not reach a log: values by their key, and bearer tokens in any text."""
    for name, value in event.items():
        if name.lower() in _SECRET_KEYS and isinstance(value, str | bytes):
            # Keys of queues are namespace/name and tell nothing.
            event[name] = value if name == "key" and _is_object_key(value) else _HIDDEN
        elif isinstance(value, str):
            event[name] = _BEARER.sub(rf"\1{_HIDDEN}", value)
    return event


def _is_object_key(value: str | bytes) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[a-z0-9.-]*/?[a-z0-9.:-]+", value) is not None


class _Stamp:
    """Puts time and service into a line."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._clock = clock.SystemClock()

    def __call__(self, _: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {"time": clock.micro_stamp(self._clock.now()), "service": self._service} | dict(event)


class _ToStructlog(logging.Handler):
    """Takes what libraries log in the standard library's way."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(
            record.levelno, record.getMessage(), library=record.name, exc_info=record.exc_info or None
        )


def _encode(event: dict[str, Any], **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()
