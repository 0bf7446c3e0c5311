"""What goes wrong when an engine is asked, beyond what the port says of it."""

from boxfleet.ports import cluster


class NotFound(cluster.ClusterFault):
    """The engine has no such thing."""


class Conflict(cluster.ClusterFault):
    """A name is taken, or the thing is not in a state for that."""


def of_status(status: int, words: str, *, what: str) -> cluster.ClusterFault:
    """The fault that an HTTP status stands for."""
    text = f"cannot {what}: {words.strip() or f'status {status}'}"
    if status in (401, 403):
        return cluster.Denied(f"{text}; the engine's authorization refuses it: allow it to these credentials")
    if status == 404:
        return NotFound(text)
    if status == 409:
        return Conflict(text)
    return cluster.ClusterFault(text)
