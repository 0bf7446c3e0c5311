"""The status screen, from findings that are given."""

from collections.abc import Iterable, Iterator

from boxfleet.cli import output
from boxfleet.planning import health


def lines(parts: Iterable[health.Part], *, sites: dict[str, list[str]] | None = None) -> Iterator[tuple[str, str]]:
    """Each line with its style: a line per part, and below what is not well the reason and the remedy."""
    shown = list(parts)
    rows = [
        (f"{part.kind} {part.name}".strip(), part.level.value, _summary(part, (sites or {}).get(part.name, [])))
        for part in shown
    ]
    for part, line in zip(shown, output.columns(rows), strict=True):
        yield line, output.STYLES[part.level] if part.level is not health.Level.WELL else ""
        for trouble in part.troubles:
            where = "" if trouble.subject == f"{part.kind} {part.name}" else f"{trouble.subject}: "
            yield f"    {where}{trouble.reason}: {trouble.message}", ""
            if trouble.advice:
                yield f"      -> {trouble.advice}", "cyan"


def verdict(parts: Iterable[health.Part]) -> tuple[str, str]:
    """The last line and its style."""
    shown = list(parts)
    bad = sum(1 for part in shown if part.level is health.Level.BAD)
    waiting = sum(1 for part in shown if part.level is health.Level.WAITING)
    if bad:
        return f"{bad} of {len(shown)} not well", output.STYLES[health.Level.BAD]
    if waiting:
        return f"{waiting} of {len(shown)} on the way", output.STYLES[health.Level.WAITING]
    return "all is well", output.STYLES[health.Level.WELL]


def _summary(part: health.Part, sites: list[str]) -> str:
    return "  ".join([part.summary, *sites]).strip()
