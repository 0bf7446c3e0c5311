"""What must hold whatever was killed or cut: a watcher that resumes where it was, and the writers' own words."""

import os

from boxfleet.store import rows

# More rounds of each fault than CI takes: FAULT_ROUNDS=100.
ROUNDS = int(os.environ.get("FAULT_ROUNDS", "0"))


def rounds(usual: int) -> int:
    """How often a fault is repeated."""
    return ROUNDS or usual


class Watcher:
    """Follows the log across its own ends and those of servers; misses nothing and hears nothing twice."""

    def __init__(self) -> None:
        self.revision = 0
        # Mark of a write by its revision; the present revision and value by key.
        self.marks: dict[int, tuple[str, str]] = {}
        self._present: dict[str, tuple[int, bytes]] = {}

    def hear(self, changes: list[rows.Change]) -> None:
        """The next changes; raises AssertionError when one is missing, doubled or out of order."""
        for change in changes:
            assert change.revision > self.revision, "heard twice, or out of order"
            before, value = self._present.get(change.key, (0, None))
            assert change.before_revision == before, f"{change.key}: missed what came before {change.revision}"
            assert change.before == value
            self.revision = change.revision
            self.marks[change.revision] = (change.key, change.value.decode().strip())
            if change.deleted:
                del self._present[change.key]
            else:
                self._present[change.key] = (change.revision, change.value)

    def check(self, acknowledged: list[str], present: list[rows.Row]) -> None:
        """Hold what was said against what was heard: lines of revision, key and mark."""
        for line in acknowledged:
            revision, key, mark = line.split()
            assert self.marks.get(int(revision)) == (key, mark), f"lost: {line}"
        assert {row.key: (row.revision, row.value) for row in present} == self._present
        marks = [mark for _, mark in self.marks.values()]
        assert len(set(marks)) == len(marks), "a write is there twice"
