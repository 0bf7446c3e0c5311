"""Batches of writes: which of them go through, at which revisions, and how their writers hear of it."""

from collections.abc import Iterable

import msgspec

from boxfleet.store import backend, errors, memory


class Batch(msgspec.Struct):
    """Writes that are committed together."""

    number: int
    wishes: list[backend.Wish]
    # What each wish wrote, its own row first.
    written: list[list[backend.LogRow]]

    @property
    def rows(self) -> list[backend.LogRow]:
        """All rows, in order of revisions."""
        return [row for rows in self.written for row in rows]


class Attempt(msgspec.Struct):
    """A batch on its way."""

    wishes: list[backend.Wish]
    # What may have been committed when the connection breaks.
    committing: Batch | None = None
    # Whether the writers were told of a failure already.
    answered: bool = False


def decide(
    wishes: list[backend.Wish], *, memory: memory.Memory, number: int
) -> tuple[Batch, list[tuple[backend.Wish, Exception]]]:
    """Which writes go through, at which revisions; memory is at the locked head."""
    batch = Batch(number, [], [])
    refused: list[tuple[backend.Wish, Exception]] = []
    revision = memory.revision
    # Keys that this batch changed already, with the revision and value that they then have; 0 when it deleted them.
    within: dict[str, tuple[int, bytes]] = {}

    def there(key: str) -> tuple[int, bytes]:
        if (found := within.get(key)) is not None:
            return found
        row = memory.get(key)
        return (row.revision, row.value) if row is not None else (0, b"")

    changing_along = {each.key for wish in wishes for each in wish.along}
    # Who replaces a row that others change along comes first: he alone must have seen its newest state.
    for wish in sorted(wishes, key=lambda wish: wish.key not in changing_along) if changing_along else wishes:
        actual = there(wish.key)[0]
        if actual != wish.expected:
            refused.append((wish, errors.Conflict(key=wish.key, expected=wish.expected, actual=actual)))
            continue
        try:
            written = [(revision + 1, wish.key, wish.value(revision + 1), wish.expected, wish.deleted)]
            for each in wish.along:
                previous, before = there(each.key)
                number = revision + 1 + len(written)
                if previous and (changed := each.change(before, number)) is not None:
                    written.append((number, each.key, changed, previous, False))
        except Exception as error:
            # The writer's own fault, not that of the others in the batch.
            refused.append((wish, error))
            continue
        revision += len(written)
        batch.wishes.append(wish)
        batch.written.append(written)
        within.update((key, (0 if deleted else number, value)) for number, key, value, _, deleted in written)
    return batch, refused


def fail(wishes: Iterable[backend.Wish], why: Exception) -> None:
    """Tell writers that theirs did not go through."""
    for wish in wishes:
        if not wish.done.done():
            wish.done.set_exception(why)
            # The waiter may be gone; then nobody else would look at it.
            wish.done.exception()
