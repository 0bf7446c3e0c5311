"""Step 7: the status of the Unit and of its shares."""

from collections.abc import Collection

import msgspec

from boxfleet.api import placement, unit
from boxfleet.client import client, errors
from boxfleet.planning import instances
from boxfleet.planning import placement as planning


async def report(api: client.Client, subject: unit.Unit, wanted: unit.UnitStatus) -> None:
    """Write the status when it differs from what is there."""
    if wanted != subject.status:
        await api.replace(msgspec.structs.replace(subject, status=wanted), subresource="status")


async def report_shares(
    api: client.Client, shares: Collection[placement.Placement], existing: Collection[instances.Instance]
) -> None:
    """Say of each Placement how far its instances are."""
    for share in shares:
        wanted = planning.status_of(share, existing)
        if wanted != share.status:
            try:
                await api.replace(msgspec.structs.replace(share, status=wanted), subresource="status")
            except errors.NotFound:
                # Taken away by the scheduler meanwhile.
                continue
