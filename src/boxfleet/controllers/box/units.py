"""Step 1: the Units that the Box asks for, and no others."""

import dataclasses
from collections.abc import Sequence

from boxfleet.api import box, meta, unit
from boxfleet.client import client, errors
from boxfleet.planning import box as planning


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A Unit as it is now, the conflict that keeps the Box from it, and what was done, as an event's reason."""

    unit: unit.Unit
    conflict: planning.Conflict | None = None
    done: str = ""


async def ensure(api: client.Client, owner: box.Box, short: str, *, current: unit.Unit | None) -> Outcome:
    """Make one Unit right."""
    if current is None:
        try:
            return Outcome(unit=await api.create(planning.wanted_unit(owner, short)), done="UnitCreated")
        except errors.AlreadyExists:
            # The cache was behind, or the name is someone else's.
            name = planning.unit_name(owner.metadata.name, short)
            current = await api.get(unit.Unit, name, namespace=owner.metadata.namespace)
    conflict = planning.conflict_of(owner, short, current)
    if conflict is not None or current.metadata.deletionTimestamp:
        return Outcome(unit=current, conflict=conflict)
    wanted = planning.wanted_unit(owner, short, current=current)
    if wanted.spec == current.spec and wanted.metadata == current.metadata:
        return Outcome(unit=current)
    done = "UnitUpdated" if wanted.spec != current.spec else ""
    if meta.controller_of(current) is None:
        done = "UnitAdopted"
    return Outcome(unit=await api.replace(wanted), done=done)


async def remove_others(api: client.Client, owner: box.Box, *, owned: Sequence[unit.Unit]) -> list[str]:
    """Delete Units that this Box made and no longer asks for; the names of those that begin to go."""
    wanted = {planning.unit_name(owner.metadata.name, short) for short in owner.spec.units}
    gone = []
    for each in owned:
        if each.metadata.name in wanted or each.metadata.deletionTimestamp:
            continue
        try:
            await api.delete(unit.Unit, each.metadata.name, namespace=each.metadata.namespace, uid=each.metadata.uid)
        except errors.NotFound:
            continue
        gone.append(each.metadata.name)
    return gone
