"""What a Pod's status says about an instance, in the few words that decisions need."""

import dataclasses

from boxfleet.api import labels, meta, pod
from boxfleet.planning import problems


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One instance as it is."""

    name: str
    uid: str
    ordinal: int
    revision: str = ""
    env_hash: str = ""
    files_hash: str = ""
    address: str = ""
    node: str = ""
    # The Cluster that it was made for.
    cluster: str = ""
    ready: bool = False
    started: bool = False
    succeeded: bool = False
    failed: bool = False
    terminating: bool = False
    # Nothing of it has run yet.
    pending: bool = False
    # Why it is not ready, short enough for a list; empty when there is nothing to say.
    problem: str = ""


def ordinal_of(subject: pod.Pod) -> int | None:
    """The ordinal that the Pod's label gives, or None when it has none."""
    text = subject.metadata.labels.get(labels.ORDINAL, "")
    return int(text) if text.isascii() and text.isdigit() else None


def unit_key(subject: pod.Pod) -> meta.Key:
    """The Unit that a Pod belongs to; a key without name for a Pod of its own."""
    return meta.Key(subject.metadata.namespace, subject.metadata.labels.get(labels.UNIT, ""))


def view(subject: pod.Pod, *, ordinal: int) -> Instance:
    """Read a Pod."""
    metadata, status = subject.metadata, subject.status
    return Instance(
        name=metadata.name,
        uid=metadata.uid,
        ordinal=ordinal,
        revision=metadata.labels.get(labels.REVISION, ""),
        env_hash=metadata.annotations.get(labels.ENV_HASH, ""),
        files_hash=metadata.annotations.get(labels.FILES_HASH, ""),
        address=metadata.annotations.get(labels.ADDRESS, ""),
        node=subject.spec.nodeName,
        cluster=metadata.labels.get(labels.CLUSTER, ""),
        ready=is_ready(subject),
        started=_is_started(subject),
        succeeded=status.phase == "Succeeded",
        failed=status.phase == "Failed",
        terminating=bool(metadata.deletionTimestamp),
        pending=status.phase in ("", "Pending") and not metadata.deletionTimestamp,
        problem=problem_of(subject),
    )


def is_ready(subject: pod.Pod) -> bool:
    """Whether it serves: Ready and not on its way out."""
    return meta.is_true(subject.status.conditions, "Ready") and not subject.metadata.deletionTimestamp


def problem_of(subject: pod.Pod) -> str:
    """The most telling reason why an instance is not ready."""
    status = subject.status
    if subject.metadata.deletionTimestamp:
        return "Terminating"
    if (found := problems.of(subject)) is not None:
        return found.brief
    if not subject.spec.nodeName:
        return "not scheduled"
    if status.phase in ("", "Pending"):
        return "starting"
    ready = meta.find_condition(status.conditions, "Ready")
    if ready is not None and ready.status != "True" and status.phase == "Running":
        return ready.reason or "not ready"
    return ""


def _is_started(subject: pod.Pod) -> bool:
    if subject.metadata.deletionTimestamp:
        return False
    if subject.status.phase == "Succeeded":
        return True
    statuses = subject.status.containerStatuses
    return (
        subject.status.phase == "Running"
        and bool(statuses)
        and all(status.state.running is not None and status.started is not False for status in statuses)
    )
