"""Formats of strings and numbers that schemas of custom kinds know; others are only words to readers."""

import base64
import binascii
import datetime
import functools
import ipaddress
import re
import urllib.parse
import uuid
from collections.abc import Callable
from typing import Any

Check = Callable[[str], bool]

_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)")
_HOST = re.compile(
    r"(?=.{1,253}\.?$)[A-Za-z0-9](?:[-A-Za-z0-9]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[-A-Za-z0-9]{0,61}[A-Za-z0-9])?)*\.?"
)
_EMAIL = re.compile(r"[^@\s<>]{1,64}@[^@\s<>]{1,255}")
_MAC = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}|[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){5}")
_HEX_COLOR = re.compile(r"#?(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
# As Go's time.ParseDuration, and "2 days" as go-openapi's strfmt.
_DURATION = re.compile(r"[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+|0")
_LONG_DURATION = re.compile(
    r"(?:\d+)\s*(?:nanosecond|ns|microsecond|us|µs|millisecond|ms|second|sec|s|minute|min|m|hour|hr|h|day|d|week|wk|w)s?"
)


def _parses(parse: Callable[[str], Any], value: str) -> bool:
    try:
        parse(value)
    except ValueError:
        return False
    return True


def _date_time(value: str) -> bool:
    return _DATE_TIME.fullmatch(value) is not None and _parses(datetime.datetime.fromisoformat, value)


def _byte(value: str) -> bool:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _uri(value: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(value)
    except ValueError:
        return False
    return bool(parts.scheme) or value.startswith("/")


def _duration(value: str) -> bool:
    return _DURATION.fullmatch(value) is not None or _LONG_DURATION.fullmatch(value) is not None


STRINGS: dict[str, Check] = {
    "byte": _byte,
    "date": lambda value: len(value) == 10 and _parses(datetime.date.fromisoformat, value),
    "date-time": _date_time,
    "datetime": _date_time,
    "duration": _duration,
    "email": lambda value: _EMAIL.fullmatch(value) is not None,
    "hexcolor": lambda value: _HEX_COLOR.fullmatch(value) is not None,
    "hostname": lambda value: _HOST.fullmatch(value) is not None,
    "ipv4": functools.partial(_parses, ipaddress.IPv4Address),
    "ipv6": functools.partial(_parses, ipaddress.IPv6Address),
    "cidr": lambda value: "/" in value and _parses(ipaddress.ip_interface, value),
    "mac": lambda value: _MAC.fullmatch(value) is not None,
    "uri": _uri,
    "uuid": functools.partial(_parses, uuid.UUID),
}
BOUNDS: dict[str, tuple[int, int]] = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}
