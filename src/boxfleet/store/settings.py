"""Settings of the store, with unit, default and reason."""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How much the store keeps, and how it writes."""

    # Changes kept in memory for watches that resume; a client away for longer lists anew.
    history_changes: int = 4096
    # The same in bytes of values, so that big objects cannot eat the memory.
    history_bytes: int = 8 * 2**20
    # Changes that may wait for one watcher before it is cut off: a slow reader must not eat memory either.
    watch_backlog: int = 4096
    # Revisions that stay in the log whatever their age.
    keep_revisions: int = 10_000
    # Seconds that history stays in the log at least, as long as Kubernetes keeps it by default.
    keep_seconds: float = 300.0
    # Seconds between compactions.
    compact_every: float = 60.0
    # Writes in one transaction at most: bounds how long the first of them waits.
    batch: int = 512
