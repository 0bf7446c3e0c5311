"""Which names a definition gets: those that no other kind of its group has, as pure rules."""

from collections.abc import Iterable

from boxfleet.apiserver.custom import definition


def taken(others: Iterable[definition.Names]) -> set[str]:
    """The names of resources that are in use: plural, singular and short ones alike."""
    return {name for each in others for name in (each.plural, each.singular, *each.short_names) if name}


def accept(
    wanted: definition.Names, accepted: definition.Names, others: list[definition.Names]
) -> tuple[definition.Names, str, str]:
    """The names that are accepted, and the reason and message of what is in the way; empty when nothing is.

    A name that is not free leaves the one that was accepted before.
    """
    resources = taken(others)
    kinds = {name for each in others for name in (each.kind, each.list_kind) if name}
    reason, message = "", ""
    got = {
        "plural": accepted.plural, "singular": accepted.singular, "kind": accepted.kind,
        "list_kind": accepted.list_kind, "short_names": accepted.short_names,
    }  # fmt: skip
    for field, label, used in (
        ("plural", "PluralConflict", resources), ("singular", "SingularConflict", resources),
        ("kind", "KindConflict", kinds), ("list_kind", "ListKindConflict", kinds),
    ):  # fmt: skip
        name = getattr(wanted, field)
        if name in used:
            reason, message = label, f'"{name}" is already in use'
        else:
            got[field] = name
    conflicts = [name for name in wanted.short_names if name in resources]
    if conflicts:
        listed = ", ".join(f'"{name}" is already in use' for name in conflicts)
        reason, message = "ShortNamesConflict", f"[{listed}]" if len(conflicts) > 1 else listed
    else:
        got["short_names"] = wanted.short_names
    return definition.Names(categories=wanted.categories, **got), reason, message  # type: ignore[arg-type]
