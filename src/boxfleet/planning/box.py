"""A Box as Units, and what its Units make of it."""

import dataclasses
from collections.abc import Mapping

import msgspec

from boxfleet.api import box, labels, meta, unit
from boxfleet.planning import adoption, conditions


@dataclasses.dataclass(frozen=True, slots=True)
class Conflict:
    """A Unit that the Box needs but that someone else owns."""

    unit: str
    owner: str

    def __str__(self) -> str:
        return (
            f"Unit {self.unit} belongs to {self.owner}: rename this Box or its Unit, or delete the other with "
            f"`kubectl delete unit {self.unit}`"
        )


def unit_name(box_name: str, short: str) -> str:
    """The Unit object for a Unit of a Box."""
    return f"{box_name}-{short}"


def own_labels(owner: box.Box, short: str) -> dict[str, str]:
    """Labels of a Unit that a Box makes."""
    return {labels.BOX: owner.metadata.name, labels.UNIT: unit_name(owner.metadata.name, short)}


def wanted_unit(owner: box.Box, short: str, *, current: unit.Unit | None = None) -> unit.Unit:
    """The Unit as the Box wants it, on top of what is there.

    Replicas that were set on the Unit itself (``kubectl scale unit``) stay until the Box asks for another number.
    """
    said = owner.spec.units[short]
    spec = unit.UnitSpec(box=owner.metadata.name, **{name: getattr(said, name) for name in said.__struct_fields__})
    mark = str(said.replicas)
    if current is not None and current.metadata.annotations.get(labels.BOX_REPLICAS) == mark:
        spec.replicas = current.spec.replicas
    own = own_labels(owner, short)
    if current is None:
        metadata = meta.ObjectMeta(name=own[labels.UNIT], namespace=owner.metadata.namespace)
    else:
        metadata = msgspec.structs.replace(current.metadata)
    metadata.labels = metadata.labels | own
    metadata.annotations = metadata.annotations | {labels.BOX_REPLICAS: mark}
    metadata.ownerReferences = [meta.owner_of(owner)] if current is None else adoption.references(current, owner)
    status = current.status if current is not None else unit.UnitStatus()
    return unit.Unit(metadata=metadata, spec=spec, status=status)


def conflict_of(owner: box.Box, short: str, current: unit.Unit) -> Conflict | None:
    """Whether a Unit of the wanted name belongs to someone else; one that a Box of this name left behind does not."""
    controller = meta.controller_of(current)
    if controller is None:
        if adoption.is_orphan_of(own_labels(owner, short), current) and current.spec.box == owner.metadata.name:
            return None
        return Conflict(current.metadata.name, "no Box")
    if controller.uid == owner.metadata.uid:
        return None
    return Conflict(current.metadata.name, f"{controller.kind} {controller.name}")


def status(
    owner: box.Box, units: Mapping[str, unit.Unit | None], *, conflicts: list[Conflict], now: str
) -> box.BoxStatus:
    """The Box's status from its Units by short name."""
    summaries = [_summary(owner, short, units.get(short)) for short in owner.spec.units]
    ready = [each.name for each in summaries if _is_ready(units.get(each.name))]
    waiting = [each for each in summaries if each.name not in ready]
    said = conditions.Conditions(owner.status.conditions, now=now)
    total = len(owner.spec.units)
    count = f"{len(ready)} of {total} Units ready"
    if conflicts:
        said.put("Ready", "False", "NameConflict", "; ".join(map(str, conflicts)))
        said.put("Progressing", "False", "NameConflict", "; ".join(map(str, conflicts)))
    elif waiting:
        message = "; ".join([count, *(_why(each.name, units.get(each.name)) for each in waiting)])
        said.put("Ready", "False", "UnitsNotReady", message)
        said.put("Progressing", "True", "UnitsNotReady", message)
    else:
        said.put("Ready", "True", "AllReady", count)
        moving = [each.name for each in summaries if not _is_settled(units.get(each.name))]
        if moving:
            said.put("Progressing", "True", "Updating", f"Units still changing: {', '.join(moving)}")
        else:
            said.put("Progressing", "False", "Complete", "every Unit is as wanted")
    return box.BoxStatus(
        observedGeneration=owner.metadata.generation,
        conditions=said.items,
        units=summaries,
        ready=f"{len(ready)}/{total}",
    )


def turn(before: box.BoxStatus, after: box.BoxStatus) -> tuple[bool, str] | None:
    """Whether the Box became Ready or stopped being so, and what to say; None when it stays as it was.

    What is said names Units and not their instances, so that a Box that goes to and fro is counted, not retold.
    """
    was, is_ready = (meta.is_true(each.conditions, "Ready") for each in (before, after))
    if was == is_ready:
        return None
    waiting = [each.name for each in after.units if each.reason]
    text = f"{after.ready} Units ready"
    return is_ready, f"{text}; not ready: {', '.join(waiting)}" if waiting and not is_ready else text


def _summary(owner: box.Box, short: str, current: unit.Unit | None) -> box.UnitSummary:
    if current is None:
        return box.UnitSummary(name=short, replicas=owner.spec.units[short].replicas, reason="NotMadeYet")
    condition = meta.find_condition(current.status.conditions, "Ready")
    reason = "" if condition is not None and condition.status == "True" else "Starting"
    if condition is not None and condition.status != "True":
        reason = condition.reason
    return box.UnitSummary(
        name=short, replicas=current.spec.replicas, ready=current.status.readyReplicas, reason=reason
    )


def _is_ready(current: unit.Unit | None) -> bool:
    return (
        current is not None
        and not current.metadata.deletionTimestamp
        and current.status.observedGeneration >= current.metadata.generation
        and meta.is_true(current.status.conditions, "Ready")
    )


def _is_settled(current: unit.Unit | None) -> bool:
    condition = meta.find_condition(current.status.conditions, "Progressing") if current is not None else None
    return condition is not None and condition.status == "False"


def _why(short: str, current: unit.Unit | None) -> str:
    condition = meta.find_condition(current.status.conditions, "Ready") if current is not None else None
    if condition is None or condition.status == "True":
        return f"{short}: being made"
    return f"{short}: {condition.message}"
