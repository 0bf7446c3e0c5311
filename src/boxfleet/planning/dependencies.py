"""Whether the Units that must come first have come."""

import dataclasses
from collections.abc import Callable

from boxfleet.api import meta, unit


@dataclasses.dataclass(frozen=True, slots=True)
class Blocked:
    """Why instances cannot be made yet: a word for a condition's reason and a sentence for people."""

    reason: str
    message: str


# What a dependency asks for is the condition of that very name on the other Unit.
_WORDS = {
    unit.DependsOnCondition.STARTED: "to be started",
    unit.DependsOnCondition.READY: "to be Ready",
    unit.DependsOnCondition.COMPLETED: "to complete",
}


def waits_for(subject: unit.Unit, find: Callable[[str], unit.Unit | None]) -> Blocked | None:
    """The dependencies that do not hold, or None when all do.

    `find` gives a Unit of the same Box by its short name.
    """
    waits = [text for each in subject.spec.dependsOn if (text := _missing(each, find(each.unit)))]
    return Blocked("WaitingForDependency", "; ".join(waits)) if waits else None


def _missing(need: unit.Dependency, other: unit.Unit | None) -> str:
    wait = f"waits for Unit {need.unit} {_WORDS[need.condition]}"
    if other is None:
        return f"{wait}: there is no such Unit yet"
    if other.metadata.deletionTimestamp:
        return f"{wait}: it is being deleted"
    if other.status.observedGeneration < other.metadata.generation:
        return f"{wait}: its newest change is not carried out yet"
    condition = meta.find_condition(other.status.conditions, need.condition.value)
    if condition is not None and condition.status == "True":
        return ""
    if condition is None:
        if need.condition is unit.DependsOnCondition.COMPLETED:
            return f"{wait}: its instances never end by themselves; set restartPolicy to OnFailure or Never"
        return f"{wait}: it has not begun"
    return f"{wait}: {condition.message}"
