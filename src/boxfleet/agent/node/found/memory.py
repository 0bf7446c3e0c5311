"""Memory: how much, and whether there is swap."""

import pathlib

from boxfleet.agent.node.found import files


def labels(root: pathlib.Path) -> dict[str, str]:
    """By proc/meminfo, in whole GiB: what the firmware keeps makes the exact number of no use for choosing."""
    known = (files.fields(root / "proc/meminfo") or [{}])[0]
    kilobytes = _kilobytes(known, "MemTotal")
    found = {"memory.gib": str(max(1, round(kilobytes / 2**20)))} if kilobytes else {}
    if _kilobytes(known, "SwapTotal"):
        found["memory.swap"] = "true"
    return found


def _kilobytes(known: dict[str, str], name: str) -> int:
    amount = known.get(name, "").partition(" ")[0]
    return int(amount) if amount.isdecimal() else 0
