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
    # The same in bytes of values.
    watch_backlog_bytes: int = 8 * 2**20
    # Revisions that stay in the log whatever their age.
    keep_revisions: int = 10_000
    # Seconds that history stays in the log at least, as long as Kubernetes keeps it by default.
    keep_seconds: float = 300.0
    # Seconds between compactions.
    compact_every: float = 60.0
    # Writes in one transaction at most: bounds how long the first of them waits.
    batch: int = 512
    # Seconds that a database on the network may take to answer before it counts as cut off.
    answer_seconds: float = 10.0
    # Seconds that a server which stands still in the middle of a commit may keep the others from writing.
    stall_seconds: float = 3.0
    # Seconds between looks for other servers' writes that nothing told of: the net below NOTIFY.
    poll_every: float = 1.0
