"""The table of Pods, cell for cell as Kubernetes prints it."""

import datetime
from typing import Any

from boxfleet.api import cells, kind, phases

Json = dict[str, Any]


def _spec(pod: Json) -> Json:
    return pod.get("spec") or {}


def _status(pod: Json) -> Json:
    return pod.get("status") or {}


def _sidecars(pod: Json) -> set[str]:
    """Init containers that stay: they count as containers."""
    inits = _spec(pod).get("initContainers") or ()
    return {container.get("name", "") for container in inits if container.get("restartPolicy") == "Always"}


def _initializing(pod: Json) -> str:
    """What initialisation is at (``Init:0/2``); empty when it is over."""
    sidecars = _sidecars(pod)
    statuses = _status(pod).get("initContainerStatuses") or ()
    for index, status in enumerate(statuses):
        state = status.get("state") or {}
        ended, waiting = state.get("terminated"), state.get("waiting")
        if ended is not None and ended.get("exitCode") == 0:
            continue
        if status.get("name") in sidecars and status.get("started"):
            continue
        if ended is not None:
            return f"Init:{_end_of(ended)}"
        if waiting is not None and waiting.get("reason") not in (None, "", "PodInitializing"):
            return f"Init:{waiting['reason']}"
        return f"Init:{index}/{len(_spec(pod).get('initContainers') or ())}"
    return ""


def _end_of(ended: Json) -> str:
    if ended.get("reason"):
        return str(ended["reason"])
    return f"Signal:{ended['signal']}" if ended.get("signal") else f"ExitCode:{ended.get('exitCode')}"


def _initialized(pod: Json) -> bool:
    """Initialisation is over, or was over once: what the main containers do is what counts."""
    return not _initializing(pod) or cells.conditions(pod).get("Initialized", {}).get("status") == "True"


def status_word(pod: Json, now: datetime.datetime) -> str:
    """One word for the state: the phase, or what says more."""
    status = _status(pod)
    gated = cells.conditions(pod).get("PodScheduled", {}).get("reason") == "SchedulingGated"
    word = "SchedulingGated" if gated else status.get("reason") or status.get("phase") or "Unknown"
    word = _initializing(pod) or word
    if _initialized(pod):
        running = False
        # The first container says most, so it speaks last.
        for container in reversed(status.get("containerStatuses") or ()):
            state = container.get("state") or {}
            waiting, ended = state.get("waiting") or {}, state.get("terminated")
            if waiting.get("reason"):
                word = waiting["reason"]
            elif ended is not None:
                word = _end_of(ended)
            elif container.get("ready") and state.get("running") is not None:
                running = True
        if word == "Completed" and running:
            ready = cells.conditions(pod).get("Ready", {}).get("status") == "True"
            word = "Running" if ready else "NotReady"
    if pod.get("metadata", {}).get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            return "Unknown"
        if status.get("phase") not in phases.TERMINAL:
            return "Terminating"
    return str(word)


def ready_count(pod: Json, now: datetime.datetime) -> str:
    """How many containers are ready, of how many: ``1/2``."""
    status, sidecars = _status(pod), _sidecars(pod)
    total = len(_spec(pod).get("containers") or ()) + len(sidecars)
    ready = sum(
        1
        for container in status.get("initContainerStatuses") or ()
        if container.get("name") in sidecars and container.get("started") and container.get("ready")
    )
    if _initialized(pod):
        ready += sum(
            1
            for container in status.get("containerStatuses") or ()
            if container.get("ready") and (container.get("state") or {}).get("running") is not None
        )
    return f"{ready}/{total}"


def restarts(pod: Json, now: datetime.datetime) -> str:
    """How often containers were started again, and when last: ``3 (5m ago)``."""
    status, sidecars = _status(pod), _sidecars(pod)
    inits = status.get("initContainerStatuses") or ()
    counted = list(inits)
    if _initialized(pod):
        counted = [container for container in inits if container.get("name") in sidecars]
        counted += status.get("containerStatuses") or ()
    count = sum(container.get("restartCount") or 0 for container in counted)
    ends = [
        finished
        for container in counted
        if (finished := ((container.get("lastState") or {}).get("terminated") or {}).get("finishedAt"))
    ]
    # RFC 3339 in UTC sorts as text.
    return f"{count} ({cells.age(max(ends), now)} ago)" if count and ends else str(count)


def _ip(pod: Json, now: datetime.datetime) -> str:
    return _status(pod).get("podIP") or cells.NONE


def _node(pod: Json, now: datetime.datetime) -> str:
    return _spec(pod).get("nodeName") or cells.NONE


def _nominated(pod: Json, now: datetime.datetime) -> str:
    return _status(pod).get("nominatedNodeName") or cells.NONE


def _gates(pod: Json, now: datetime.datetime) -> str:
    gates = _spec(pod).get("readinessGates") or ()
    if not gates:
        return cells.NONE
    found = cells.conditions(pod)
    held = sum(1 for gate in gates if found.get(gate.get("conditionType", ""), {}).get("status") == "True")
    return f"{held}/{len(gates)}"


COLUMNS = (
    kind.Column(name="Ready", cell=ready_count, description="Containers that are ready, of all."),
    kind.Column(name="Status", cell=status_word, description="The state of the instance in a word."),
    kind.Column(name="Restarts", cell=restarts, description="Restarts of its containers, and when the last was."),
    cells.AGE,
    kind.Column(name="IP", cell=_ip, priority=1, description="Its address."),
    kind.Column(name="Node", cell=_node, priority=1, description="The host that runs it."),
    kind.Column(name="Nominated Node", cell=_nominated, priority=1, description="The host where room is made for it."),
    kind.Column(name="Readiness Gates", cell=_gates, priority=1, description="Further conditions that hold, of all."),
)
