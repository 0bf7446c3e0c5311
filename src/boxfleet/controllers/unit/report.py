"""Step 7: the status of the Unit and of its shares."""

from collections.abc import Collection

import msgspec

from boxfleet.api import meta, placement, unit
from boxfleet.client import client, errors
from boxfleet.kit import clock
from boxfleet.planning import instances, unit_status
from boxfleet.planning import placement as planning

# Seconds between two reports in which nothing but counts and words change: with each the Box and its share are written
# as well, and all who watch them hear of it.
_PAUSE = 1.0


class Reports:
    """When the status of each Unit was written last."""

    def __init__(self, *, clock: clock.Clock) -> None:
        self._clock = clock
        self._moments: dict[meta.Key, float] = {}

    def wait(self, subject: unit.Unit, wanted: unit.UnitStatus) -> float:
        """Seconds until that status may be written; 0 now, and for everything that somebody may act on."""
        last = self._moments.get(subject.key)
        if last is None or wanted == subject.status or not unit_status.is_passing(subject.status, wanted):
            return 0.0
        return max(0.0, last + _PAUSE - self._clock.monotonic())

    def said(self, key: meta.Key) -> None:
        """It was written."""
        self._moments[key] = self._clock.monotonic()

    def forget(self, key: meta.Key) -> None:
        """The Unit is gone."""
        self._moments.pop(key, None)


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
