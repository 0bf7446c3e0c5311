"""Pressure stall information: the share of time in which work waited (kernel docs, accounting/psi)."""

import pathlib

import msgspec

from boxfleet.agent.node.found import files


class Stall(msgspec.Struct, frozen=True, kw_only=True):
    """Percent of the last ten and sixty seconds in which some, or all, waited."""

    some10: float = 0.0
    some60: float = 0.0
    full10: float = 0.0
    full60: float = 0.0


def read(root: pathlib.Path, resource: str) -> Stall:
    """For cpu, memory or io; nothing waited where the kernel does not say."""
    found: dict[str, float] = {}
    for line in files.text(root / "proc/pressure" / resource).splitlines():
        kind, *pairs = line.split()
        known = dict(pair.partition("=")[::2] for pair in pairs)
        for window in ("10", "60"):
            found[kind + window] = float(known.get(f"avg{window}", 0))
    return msgspec.convert(found, Stall)
