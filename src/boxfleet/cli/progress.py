"""What people see while a delivery becomes Ready: a live view on a terminal, plain lines in a pipe."""

import contextlib
import re
import time
from collections.abc import Callable, Iterable, Iterator

from boxfleet.api import cells
from boxfleet.cli import output, report
from boxfleet.planning import health

Show = Callable[[list[health.Part]], None]

# How often something happened; that it happened once more is no news.
_TIMES = re.compile(r" \(\d+ times\)$")


@contextlib.contextmanager
def view(*, live: bool, say: Callable[[str], None]) -> Iterator[Show]:
    """Something to show parts with, as often as they are read."""
    if live:
        import rich.live
        import rich.text

        began = time.monotonic()
        with rich.live.Live(console=output.console(), refresh_per_second=8, transient=False) as screen:

            def draw(parts: list[health.Part]) -> None:
                text = rich.text.Text()
                for line, style in report.lines(parts):
                    text.append(line + "\n", style=style or None)
                text.append(f"{cells.duration(time.monotonic() - began)}", style="dim")
                screen.update(text)

            yield draw
    else:
        told: dict[str, str] = {}

        def tell(parts: list[health.Part]) -> None:
            for key, line in news(parts).items():
                if told.get(key) != line:
                    told[key] = line
                    say(line)

        yield tell


def news(parts: Iterable[health.Part]) -> dict[str, str]:
    """One line for each thing that can change, by what it is about."""
    lines = {}
    for part in parts:
        key = f"{part.kind} {part.name}"
        lines[key] = f"{key}: {part.summary}"
        for trouble in part.troubles:
            lines[trouble.subject] = f"{trouble.subject}: {trouble.reason}: {_TIMES.sub('', trouble.message)}"
    return lines


def final(parts: Iterable[health.Part]) -> Iterator[str]:
    """What is still not well, with advice."""
    for line, _ in report.lines(part for part in parts if part.level is not health.Level.WELL):
        yield line
