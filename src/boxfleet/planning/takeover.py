"""When the instances of a lost host may be made elsewhere, and which: docs/adr/0013 says why these rules are safe.

An agent that could not renew its Lease for FENCE_AFTER seconds ends its instances; TERM_FOR seconds later what is left
is killed. Only TAKEOVER_AFTER seconds after its last sign of life anybody makes them elsewhere. Each measures with its
own clock from a moment that cannot be later than the other's, so only the speeds of clocks count.
"""

from boxfleet.api import labels, lease, meta, node, pod
from boxfleet.planning import taints

RENEW = 2.0
# Seconds that one try to renew may take (a busy server is not a lost one), and until the next one.
ATTEMPT, AGAIN = 4.0, 0.5
FENCE_AFTER = 7.0
TERM_FOR = 1.0
TAKEOVER_AFTER = 10.0
# Seconds between the last instance's end and the takeover: for a watchdog that wakes late, and clocks that run apart.
_MARGIN = 1.5
# What an instance tolerates without end that is not to be made elsewhere, as in Kubernetes.
_LOST = node.Taint(key=labels.TAINT_UNREACHABLE, effect=taints.NO_EXECUTE)


def promise_of(subject: lease.Lease | None) -> float | None:
    """Seconds of silence after which the holder has promised to end its instances; None: it has not."""
    try:
        return float(subject.metadata.annotations[labels.FENCE]) if subject is not None else None
    except (KeyError, ValueError):
        return None


def mode_of(subject: lease.Lease | None) -> str:
    """ARMED, DECIDED or nothing."""
    return subject.metadata.annotations.get(labels.TAKEOVER, "") if subject is not None else ""


def is_safe(promise: float | None, *, after: float) -> bool:
    """Whether a host with that promise runs nothing any more after that silence."""
    return promise is not None and promise + TERM_FOR + _MARGIN <= after


def within_budget(*, alive: int, hosts: int) -> bool:
    """Whether so few hosts are lost that it is not our own network that is: half of them at most."""
    return 2 * alive >= hosts


def stays(subject: pod.Pod) -> str:
    """Why an instance is not made elsewhere when its host is lost; empty when it is."""
    if meta.controller_of(subject) is None:
        return "nothing would make it again"
    for volume in subject.spec.volumes:
        if volume.persistentVolumeClaim is not None:
            return f"its data is there (PersistentVolumeClaim {volume.persistentVolumeClaim.claimName})"
        if volume.hostPath is not None:
            return f"it uses files of the host ({volume.hostPath.path})"
    found = next((each for each in subject.spec.tolerations if taints.tolerates(each, _LOST)), None)
    if found is not None and found.tolerationSeconds is None:
        return f"it tolerates {_LOST.key}"
    return ""
