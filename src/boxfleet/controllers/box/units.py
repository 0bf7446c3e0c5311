"""Step 1: the Units that the Box asks for, and no others."""

from collections.abc import Sequence

from boxfleet.api import box, unit
from boxfleet.client import client, errors
from boxfleet.planning import box as planning


async def ensure(
    api: client.Client, owner: box.Box, short: str, *, current: unit.Unit | None
) -> tuple[unit.Unit | None, planning.Conflict | None]:
    """Make one Unit right; gives it as it is now, or the conflict that keeps the Box from it."""
    if current is None:
        try:
            return await api.create(planning.wanted_unit(owner, short)), None
        except errors.AlreadyExists:
            # The cache was behind, or the name is someone else's.
            name = planning.unit_name(owner.metadata.name, short)
            current = await api.get(unit.Unit, name, namespace=owner.metadata.namespace)
    conflict = planning.conflict_of(owner, current)
    if conflict is not None or current.metadata.deletionTimestamp:
        return current, conflict
    wanted = planning.wanted_unit(owner, short, current=current)
    if wanted.spec == current.spec and wanted.metadata == current.metadata:
        return current, None
    return await api.replace(wanted), None


async def remove_others(api: client.Client, owner: box.Box, *, owned: Sequence[unit.Unit]) -> None:
    """Delete Units that this Box made and no longer asks for."""
    wanted = {planning.unit_name(owner.metadata.name, short) for short in owner.spec.units}
    for each in owned:
        if each.metadata.name in wanted or each.metadata.deletionTimestamp:
            continue
        try:
            await api.delete(unit.Unit, each.metadata.name, namespace=each.metadata.namespace, uid=each.metadata.uid)
        except errors.NotFound:
            continue
