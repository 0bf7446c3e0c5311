"""Whether and when an ended container starts again: Kubernetes' restart policy and crash-loop back-off.

The failures so far are written on each container when it is made, so that nothing is lost with the agent's memory.
"""

from boxfleet.kit import backoff
from boxfleet.planning import marks
from boxfleet.ports import runtime

# The first restart is immediate; then 10 s, 20 s, ... up to five minutes, as Kubernetes documents for CrashLoopBackOff.
BACKOFF = backoff.Backoff(initial=10.0, limit=300.0)
# A container that ran this many seconds is well again: its failures are forgotten.
RESET_AFTER = 600.0


def wanted(*, policy: str, exit_code: int) -> bool:
    """Whether the Pod's restart policy wants an ended container back."""
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def failures(container: runtime.ContainerStatus) -> int:
    """How often in a row it has ended, this time included."""
    ran = (container.finished_at - container.started_at) / 1e9 if container.started_at else 0.0
    return 1 if ran >= RESET_AFTER else marks.failures_before(container) + 1


def due(container: runtime.ContainerStatus) -> float:
    """When an ended container may start again, in seconds since the epoch."""
    return container.finished_at / 1e9 + delay(container)


def delay(container: runtime.ContainerStatus) -> float:
    """Seconds between the end of a container and its next start."""
    return BACKOFF.delay(failures=failures(container) - 1)
