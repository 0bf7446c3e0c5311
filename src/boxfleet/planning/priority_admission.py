"""Pods beside the PriorityClasses, and PriorityClasses beside each other."""

from boxfleet.api import admission, kind, priority_class


def default(new: kind.JsonObject, old: kind.JsonObject | None, look: admission.Look) -> None:
    """Give a new Pod the priority of the class that it names. Raises admission.Refused when there is none."""
    if old is not None:
        return
    spec = new.get("spec") or {}
    name = spec.get("priorityClassName") or ""
    found = look.find(priority_class.PriorityClass, name) if name else _usual(look)
    if found is not None:
        spec["priorityClassName"] = found.metadata.name
        spec["priority"] = found.value
        spec["preemptionPolicy"] = found.preemptionPolicy
    elif name in priority_class.SYSTEM:
        spec["priority"] = priority_class.SYSTEM[name]
    elif name:
        raise admission.Refused(f"no PriorityClass with name {name} was found")
    else:
        spec["priority"] = 0


def refuse(new: kind.JsonObject, old: kind.JsonObject | None, look: admission.Look) -> str:
    """One class alone is that of Pods that name none."""
    if not new.get("globalDefault"):
        return ""
    name = new["metadata"]["name"]
    other = next(
        (e for e in look.all(priority_class.PriorityClass) if e.globalDefault and e.metadata.name != name), None
    )
    if other is None:
        return ""
    return f"PriorityClass {other.metadata.name} is already marked as default. Only one default can exist"


def _usual(look: admission.Look) -> priority_class.PriorityClass | None:
    many = [each for each in look.all(priority_class.PriorityClass) if each.globalDefault]
    return min(many, key=lambda each: each.value) if many else None
