"""Rules for a whole Box: its Units one by one, and how they depend on each other."""

from collections.abc import Mapping
from typing import Any

from boxfleet.api import fields, kind, names, unit_rules

Json = dict[str, Any]


def validate(new: Json, old: Json | None) -> list[kind.FieldError]:
    """A Box as it is written."""
    if old is not None and old.get("spec") == new.get("spec"):
        return []
    units = (new.get("spec") or {}).get("units") or {}
    if not units:
        return [fields.required("spec.units", "a Box has at least one Unit")]
    box = (new.get("metadata") or {}).get("name", "")
    peers = {name: unit_rules.port_names(found) for name, found in units.items()}
    errors: list[kind.FieldError] = []
    for name, found in units.items():
        path = f"spec.units[{name}]"
        if fault := names.label(name):
            errors.append(fields.invalid("spec.units", name, fault))
        subject = unit_rules.Subject(name=name, object_name=f"{box}-{name}", box=box, peers=peers)
        errors += unit_rules.unit(found, path, subject)
        errors += _never_completes(found, path, units)
    if cycle := find_cycle({name: _needs(found) for name, found in units.items()}):
        errors.append(
            fields.invalid_hidden(
                "spec.units", f"dependency cycle: {' -> '.join(cycle)}: remove one of these from dependsOn"
            )
        )
    return errors


def find_cycle(needs: Mapping[str, list[str]]) -> list[str]:
    """One cycle, first name again at the end; empty when there is none. Depth-first, in the order given."""
    done: set[str] = set()
    for start in needs:
        # Each entry: a name, and what of its needs is still to be followed.
        trail: list[tuple[str, list[str]]] = [(start, list(needs[start]))] if start not in done else []
        while trail:
            name, left = trail[-1]
            if not left:
                done.add(name)
                trail.pop()
                continue
            following = left.pop(0)
            on_trail = [entry[0] for entry in trail]
            # Waiting for itself is said at the field.
            if following == name or following in done or following not in needs:
                continue
            if following in on_trail:
                return [*on_trail[on_trail.index(following) :], following]
            trail.append((following, list(needs[following])))
    return []


def _needs(found: Json) -> list[str]:
    return [dependency.get("unit", "") for dependency in found.get("dependsOn") or ()]


def _never_completes(found: Json, path: str, units: Json) -> list[kind.FieldError]:
    """To wait for the end of what is restarted for ever cannot be meant."""
    errors: list[kind.FieldError] = []
    for index, dependency in enumerate(found.get("dependsOn") or ()):
        other = units.get(dependency.get("unit", ""))
        if dependency.get("condition") != "Completed" or other is None:
            continue
        policy = ((other.get("template") or {}).get("spec") or {}).get("restartPolicy") or "Always"
        if policy == "Always":
            detail = (
                f'Unit "{dependency["unit"]}" never completes, since its restartPolicy is Always: '
                "set it to OnFailure or Never"
            )
            errors.append(fields.invalid(f"{path}.dependsOn[{index}].condition", "Completed", detail))
    return errors
