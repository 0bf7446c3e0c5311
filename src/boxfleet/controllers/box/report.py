"""Step 2: the Box's status."""

from collections.abc import Mapping

import msgspec

from boxfleet.api import box, unit
from boxfleet.client import client
from boxfleet.planning import box as planning


async def report(
    api: client.Client,
    owner: box.Box,
    units: Mapping[str, unit.Unit | None],
    *,
    conflicts: list[planning.Conflict],
    now: str,
) -> box.BoxStatus:
    """Write the status when it differs from what is there; gives what is there now."""
    wanted = planning.status(owner, units, conflicts=conflicts, now=now)
    if wanted != owner.status:
        await api.replace(msgspec.structs.replace(owner, status=wanted), subresource="status")
    return wanted
