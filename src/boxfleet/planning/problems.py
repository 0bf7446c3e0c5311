"""What keeps an instance from being ready, from the status of its Pod."""

import dataclasses
from collections.abc import Iterable

from boxfleet.api import meta, pod

# A container that waits for one of these is merely on its way.
ON_ITS_WAY = frozenset({"", "ContainerCreating", "PodInitializing"})

# Why a program ended that just said that it failed.
_PLAIN = "Error"


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """The most telling one: a word, a sentence, and `brief`, which is short enough for a list.

    `container` is the one to look into; empty when that is plain or no container is to blame.
    """

    reason: str
    message: str
    brief: str
    container: str = ""


def of(subject: pod.Pod) -> Problem | None:
    """Its end, its worst container, or its binding; None when nothing is known against it."""
    status = subject.status
    exited = _exited(status.containerStatuses)
    if status.reason or status.phase == "Failed":
        brief = status.reason or (exited.brief if exited is not None else "Failed")
        message = status.message or (exited.message if exited is not None else "")
        # What ended it (OOMKilled) says more than that it ended; that a program failed does not.
        told = exited.reason if exited is not None and exited.reason != _PLAIN else "Failed"
        return Problem(status.reason or told, message, brief)
    for each in status.every_container:
        waiting = each.state.waiting
        if waiting is not None and waiting.reason not in ON_ITS_WAY:
            words = waiting.message
            ended = each.lastState.terminated
            if waiting.reason == "CrashLoopBackOff" and ended is not None:
                words = f"container {each.name} ended with {ended.reason or 'exit'} {ended.exitCode}; {words}"
            # kubectl logs takes the first container when none is named.
            plain = not subject.spec.containers or each.name == subject.spec.containers[0].name
            return Problem(waiting.reason, words, waiting.reason, "" if plain else each.name)
    if exited is not None and status.phase != "Succeeded":
        return exited
    bound = meta.find_condition(status.conditions, "PodScheduled")
    # What is said of binding is old news as soon as there is a node.
    if bound is not None and bound.status == "False" and not subject.spec.nodeName:
        return Problem(
            bound.reason, bound.message, f"not scheduled: {bound.message}" if bound.message else "not scheduled"
        )
    return None


def _exited(statuses: Iterable[pod.ContainerStatus]) -> Problem | None:
    for each in statuses:
        ended = each.state.terminated
        if ended is not None and ended.exitCode != 0:
            reason = ended.reason or _PLAIN
            message = f"container {each.name} ended with exit code {ended.exitCode} {ended.message}".strip()
            return Problem(reason, message, f"{reason} (exit code {ended.exitCode})")
    return None
