"""Writing answers: data for programs, words for people, colours only on terminals."""

import functools
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from boxfleet.cli import options
from boxfleet.planning import health

if TYPE_CHECKING:
    import rich.console

STYLES = {health.Level.WELL: "green", health.Level.WAITING: "yellow", health.Level.BAD: "bold red"}


@functools.cache
def console() -> "rich.console.Console":
    """Standard output for people. Outside a terminal no line is broken or coloured."""
    import rich.console

    if sys.stdout.isatty():
        return rich.console.Console(highlight=False)
    return rich.console.Console(highlight=False, no_color=True, width=10_000, soft_wrap=True)


def say(words: str = "", *, style: str = "") -> None:
    """One line for people, taken as it is."""
    if style and sys.stdout.isatty():
        console().print(words, style=style, markup=False)
    else:
        sys.stdout.write(words + "\n")
        sys.stdout.flush()


def data(value: Any, form: options.Format) -> None:
    """One document for programs; `value` is what msgspec can encode."""
    import msgspec

    plain = msgspec.to_builtins(value)
    if form is options.Format.YAML:
        import yaml

        sys.stdout.write(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))
    else:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(plain)).decode() + "\n")


def age(seconds: float) -> str:
    """A span as kubectl writes it: 45s, 3m, 2h5m, 4d."""
    whole = int(seconds)
    if whole < 120:
        return f"{whole}s"
    if whole < 7200:
        minutes, rest = divmod(whole, 60)
        return f"{minutes}m{rest}s" if minutes < 10 and rest else f"{minutes}m"
    if whole < 172800:
        hours, rest = divmod(whole // 60, 60)
        return f"{hours}h{rest}m" if hours < 10 and rest else f"{hours}h"
    return f"{whole // 86400}d"


def columns(rows: Sequence[tuple[str, ...]], *, indent: str = "") -> list[str]:
    """Rows as aligned lines; the last column is left as it is."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        (indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]
