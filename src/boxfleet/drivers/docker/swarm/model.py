"""What a Swarm tells of services and tasks, as far as it is read."""

from typing import Any

import msgspec

from boxfleet.drivers.docker import marks

# States of tasks in which something of them runs or will.
COMING = frozenset({"new", "pending", "assigned", "accepted", "preparing", "ready", "starting"})
OVER = frozenset({"complete", "shutdown", "failed", "rejected", "remove", "orphaned"})


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a service."""

    id: str
    service: str
    node: str
    created: str
    updated: str
    state: str
    desired: str
    message: str
    fault: str
    exit_code: int
    container: str
    address: str
    image: str
    labels: dict[str, str]

    @property
    def mark(self) -> marks.Mark:
        """What its labels say."""
        return marks.read(self.labels)


def task(found: dict[str, Any]) -> Task:
    """From the engine's JSON."""
    state = found.get("Status") or {}
    inner = (found.get("Spec") or {}).get("ContainerSpec") or {}
    container = state.get("ContainerStatus") or {}
    addresses = [one for each in found.get("NetworksAttachments") or () for one in each.get("Addresses") or ()]
    return Task(
        id=found["ID"],
        service=found.get("ServiceID", ""),
        node=found.get("NodeID", ""),
        created=found.get("CreatedAt", ""),
        updated=state.get("Timestamp", ""),
        state=state.get("State", ""),
        desired=found.get("DesiredState", ""),
        message=state.get("Message", ""),
        fault=state.get("Err", ""),
        exit_code=int(container.get("ExitCode") or 0),
        container=container.get("ContainerID", ""),
        address=addresses[0].partition("/")[0] if addresses else "",
        image=inner.get("Image", ""),
        labels=inner.get("Labels") or {},
    )
