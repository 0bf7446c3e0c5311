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


def columns(rows: Sequence[tuple[str, ...]], *, indent: str = "") -> list[str]:
    """Rows as aligned lines; the last column is left as it is."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        (indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]
