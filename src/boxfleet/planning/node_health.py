"""Whether a node is alive, from its lease, and the taints that follow."""

from boxfleet.api import labels, meta, node

UNKNOWN = "Unknown"
REASON = "NodeStatusUnknown"
# What a condition that is True keeps away: the standard ones by their own taint, the others by one.
_TAINTS = {
    "MemoryPressure": labels.TAINT_MEMORY,
    "DiskPressure": labels.TAINT_DISK,
    "PIDPressure": labels.TAINT_PIDS,
    "IOPressure": labels.TAINT_UNHEALTHY,
    "DiskProblem": labels.TAINT_UNHEALTHY,
    "ReadOnlyProblem": labels.TAINT_UNHEALTHY,
    "ClockProblem": labels.TAINT_UNHEALTHY,
    "RuntimeProblem": labels.TAINT_UNHEALTHY,
}
_OURS = {labels.TAINT_UNREACHABLE, labels.TAINT_NOT_READY, labels.TAINT_UNSCHEDULABLE, *_TAINTS.values()}


def is_ready(subject: node.Node) -> bool:
    """Whether the node says, or is said, to be Ready."""
    return meta.is_true(subject.status.conditions, "Ready")


def ready_status(subject: node.Node) -> str:
    """True, False or Unknown; Unknown also for a node that never said anything."""
    ready = meta.find_condition(subject.status.conditions, "Ready")
    return ready.status if ready is not None else UNKNOWN


def lost_condition(*, silent: float, now: str, since: str) -> node.NodeCondition:
    """The Ready condition of a node that was not heard of for that many seconds."""
    return node.NodeCondition(
        type="Ready",
        status=UNKNOWN,
        reason=REASON,
        message=f"The agent has not renewed its lease for {silent:.0f} s: look at the host, or start its agent.",
        lastHeartbeatTime=since,
        lastTransitionTime=now,
    )


def wanted_taints(subject: node.Node, *, lost: bool, now: str) -> list[node.Taint]:
    """The node's taints with those of its health put right; all others stay as they are."""
    wanted = {
        _TAINTS[each.type] for each in subject.status.conditions if each.type in _TAINTS and each.status == "True"
    }
    if lost:
        wanted.add(labels.TAINT_UNREACHABLE)
    elif not is_ready(subject):
        wanted.add(labels.TAINT_NOT_READY)
    if subject.spec.unschedulable:
        wanted.add(labels.TAINT_UNSCHEDULABLE)
    kept = [
        each
        for each in subject.spec.taints
        # NoExecute is another matter: whoever sets it decides when it goes.
        if each.key not in _OURS or each.effect != "NoSchedule" or each.key in wanted
    ]
    present = {each.key for each in kept if each.effect == "NoSchedule"}
    added = [node.Taint(key=key, effect="NoSchedule", timeAdded=now) for key in sorted(wanted - present)]
    return kept + added


def lost_pod_condition(*, node_name: str, now: str) -> meta.Condition:
    """The Ready condition of an instance whose node is lost."""
    return meta.Condition(
        type="Ready",
        status="False",
        reason="NodeNotReady",
        message=f"Node {node_name} is not heard of",
        lastTransitionTime=now,
    )
