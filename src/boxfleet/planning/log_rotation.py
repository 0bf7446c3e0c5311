"""How a full log moves aside: ``0.log`` to ``0.log.1``, that to ``0.log.2``, and the oldest goes."""

from collections.abc import Iterable

import msgspec


class Moves(msgspec.Struct, frozen=True, kw_only=True):
    """File names to remove, then to rename in order."""

    remove: list[str]
    rename: list[tuple[str, str]]


def moves(name: str, siblings: Iterable[str], *, keep: int) -> Moves:
    """What to do so that `keep` files are left, the new one included."""
    numbers = sorted(
        int(number)
        for sibling in siblings
        if sibling.startswith(f"{name}.") and (number := sibling.removeprefix(f"{name}.")).isdecimal()
    )
    last = max(1, keep - 1)
    remove = [f"{name}.{number}" for number in numbers if number >= last]
    rename = [(f"{name}.{number}", f"{name}.{number + 1}") for number in reversed(numbers) if number < last]
    return Moves(remove=remove, rename=[*rename, (name, f"{name}.1")])
