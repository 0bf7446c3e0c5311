"""The small notations of Compose files: variables, durations, sizes, ports, key-value lists.

By the Compose Specification. All functions raise ValueError with words for people.
"""

import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?(?:(\d+)us)?")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?", re.IGNORECASE)
_FACTORS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_PORT = re.compile(
    r"(?:(?:(?P<ip>\d+\.\d+\.\d+\.\d+|\[[0-9a-fA-F:]+\]):)?(?P<host>\d*(?:-\d+)?):)?"
    r"(?P<container>\d+(?:-\d+)?)(?:/(?P<protocol>tcp|udp|sctp))?"
)
# A Compose file with more is a mistake: `0-65535`.
_RANGE_LIMIT = 256


def interpolate(value: Any, environment: Mapping[str, str], *, missing: Callable[[str], None]) -> Any:
    """The value with all variables in its strings replaced; `missing` hears of those that nobody set."""
    if isinstance(value, str):
        return interpolate_text(value, environment, missing=missing)
    if isinstance(value, list):
        return [interpolate(item, environment, missing=missing) for item in value]
    if isinstance(value, dict):
        return {key: interpolate(item, environment, missing=missing) for key, item in value.items()}
    return value


def interpolate_text(text: str, environment: Mapping[str, str], *, missing: Callable[[str], None]) -> str:
    """``$NAME``, ``${NAME}``, ``${NAME:-default}``, ``:?error``, ``:+other`` and the forms without colon."""
    parts: list[str] = []
    at = 0
    while (dollar := text.find("$", at)) >= 0:
        parts.append(text[at:dollar])
        rest = dollar + 1
        if text.startswith("$", rest):
            parts.append("$")
            at = rest + 1
            continue
        if text.startswith("{", rest):
            end = _closing(text, rest)
            parts.append(_braced(text[rest + 1 : end], environment, missing))
            at = end + 1
            continue
        match = _NAME.match(text, rest)
        if match is None:
            raise ValueError(f"'$' in {text!r} starts no variable: write $$ for a dollar sign")
        parts.append(_lookup(match[0], environment, missing))
        at = match.end()
    return "".join([*parts, text[at:]])


def duration(value: object) -> float:
    """Seconds of ``1m30s``, ``500ms`` or a number of seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    match = _DURATION.fullmatch(str(value))
    if match is None or not str(value):
        raise ValueError(f"{value!r} is not a duration: write it as 30s, 1m30s or 500ms")
    hours, minutes, seconds, milliseconds, microseconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1e3 + microseconds / 1e6


def size(value: object) -> int:
    """Bytes of ``512m``, ``1gb`` or a number of bytes."""
    match = None if isinstance(value, bool) else _SIZE.fullmatch(str(value))
    if match is None:
        raise ValueError(f"{value!r} is not a size: write it as 512m or 1g")
    return int(float(match[1]) * _FACTORS[match[2].lower()])


def words(value: object) -> list[str]:
    """A command as a list: a text is split as a shell would, a list is taken as it is."""
    if isinstance(value, str):
        try:
            return shlex.split(value)
        except ValueError as error:
            raise ValueError(f"{value!r} does not read as a command ({error}): write it as a list") from None
    return texts(value)


def texts(value: object) -> list[str]:
    """A list of texts and numbers, or one of them alone."""
    items = value if isinstance(value, list) else [value]
    return [scalar(item) for item in items]


def scalar(value: object) -> str:
    """A text or number as text; true and false must be quoted, since they have many spellings."""
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is ambiguous: put it in quotes")
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError(f"expected a text, got {_kind(value)}")


def flag(value: object) -> bool:
    """True or false, also as a text that a variable made."""
    spelled = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False, "": False}
    found = value if isinstance(value, bool) else spelled.get(str(value).lower())
    if found is None:
        raise ValueError(f"{value!r} is neither true nor false")
    return found


def whole(value: object) -> int:
    """A whole number of at least zero, also as a text that a variable made."""
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,9}", str(value)):
        raise ValueError(f"{value!r} is not a whole number")
    return int(str(value))


def mapping(value: object, *, separators: str = "=") -> dict[str, str | None]:
    """A map, or a list of ``NAME=value``; None where no value is given."""
    found: dict[str, str | None] = {}
    if value is None:
        return found
    if isinstance(value, dict):
        for name, item in value.items():
            found[str(name)] = None if item is None else scalar(item)
        return found
    if isinstance(value, list):
        for item in value:
            text = scalar(item)
            cut = min((text.index(mark) for mark in separators if mark in text), default=-1)
            found[text if cut < 0 else text[:cut]] = None if cut < 0 else text[cut + 1 :]
        return found
    raise ValueError(f"expected a map or a list, got {_kind(value)}")


def env_file(content: str) -> dict[str, str]:
    """The variables in an env file: ``NAME=value`` lines, comments, optional quotes and ``export``."""
    found: dict[str, str] = {}
    for number, raw in enumerate(content.splitlines(), 1):
        line = raw.strip().removeprefix("export ")
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not _NAME.fullmatch(name.strip()):
            raise ValueError(f"line {number} is not of the form NAME=value")
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        else:
            value = re.sub(r"\s+#.*$", "", value)
        found[name.strip()] = value
    return found


def port(text: str) -> list[dict[str, Any]]:
    """``[[IP:]HOST:]CONTAINER[/PROTOCOL]``, also ranges, as Kubernetes' container ports.

    A port of the host is taken only where one is written.
    """
    match = _PORT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a port: write it as 80, 8080:80 or 127.0.0.1:8080:80/tcp")
    inside = _range(match["container"])
    outside = _range(match["host"]) if match["host"] else []
    if outside and len(outside) != len(inside):
        raise ValueError(f"{text!r} has ranges of different length: write as many host ports as container ports")
    ports = []
    for index, number in enumerate(inside):
        entry: dict[str, Any] = {"containerPort": number, "protocol": (match["protocol"] or "tcp").upper()}
        if outside:
            entry["hostPort"] = outside[index]
            if match["ip"] and match["ip"] != "0.0.0.0":  # noqa: S104
                entry["hostIP"] = match["ip"].strip("[]")
        ports.append(entry)
    return ports


def _range(text: str) -> list[int]:
    first, _, last = text.partition("-")
    low, high = int(first), int(last or first)
    if not 1 <= low <= high <= 65535 or high - low >= _RANGE_LIMIT:
        raise ValueError(f"{text!r} is not a port or a range of at most {_RANGE_LIMIT} ports between 1 and 65535")
    return list(range(low, high + 1))


def _closing(text: str, opening: int) -> int:
    depth = 0
    for index in range(opening, len(text)):
        if text[index] == "{" and text[index - 1] == "$":
            depth += 1
        elif text[index] == "}":
            depth -= 1
            if depth == 0:
                return index
    raise ValueError(f"{text!r} has a ${{ without its }}")


def _braced(inner: str, environment: Mapping[str, str], missing: Callable[[str], None]) -> str:
    match = re.fullmatch(r"([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-?+])(.*))?", inner, re.DOTALL)
    if match is None:
        raise ValueError(f"${{{inner}}} is not a variable: write ${{NAME}} or ${{NAME:-default}}")
    name, operator, other = match.groups()
    if operator is None:
        return _lookup(name, environment, missing)
    given = name in environment and (environment[name] != "" or not operator.startswith(":"))
    if operator.endswith("-"):
        return environment[name] if given else interpolate_text(other, environment, missing=missing)
    if operator.endswith("+"):
        return interpolate_text(other, environment, missing=missing) if given else ""
    if not given:
        raise ValueError(f"variable {name} is not set: {interpolate_text(other, environment, missing=missing)}")
    return environment[name]


def _lookup(name: str, environment: Mapping[str, str], missing: Callable[[str], None]) -> str:
    if name not in environment:
        missing(name)
    return environment.get(name, "")


def _kind(value: object) -> str:
    return {dict: "a map", list: "a list", type(None): "nothing"}.get(type(value), type(value).__name__)
