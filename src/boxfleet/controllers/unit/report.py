"""Step 7: the Unit's status."""

import msgspec

from boxfleet.api import unit
from boxfleet.client import client


async def report(api: client.Client, subject: unit.Unit, wanted: unit.UnitStatus) -> None:
    """Write the status when it differs from what is there."""
    if wanted != subject.status:
        await api.replace(msgspec.structs.replace(subject, status=wanted), subresource="status")
