"""Names and labels of what is made on an engine: whose it is, and what it is of."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from boxfleet.api import labels
from boxfleet.api import pod as pods
from boxfleet.kit import ids
from boxfleet.ports import cluster

FLEET: Final = "boxfleet.dev/fleet"
NAMESPACE: Final = "boxfleet.dev/namespace"
UNIT: Final = labels.UNIT
ORDINAL: Final = labels.ORDINAL
POD: Final = "boxfleet.dev/pod"
UID: Final = "boxfleet.dev/uid"
CONTAINER: Final = "boxfleet.dev/container"
ROLE: Final = "boxfleet.dev/role"
HASH: Final = "boxfleet.dev/hash"
# What a stop needs to know, also when the order is gone: the preStop hook, and ports that it may name.
PRE_STOP: Final = "boxfleet.dev/pre-stop"
PORTS: Final = "boxfleet.dev/ports"
INCARNATION: Final = "boxfleet.dev/incarnation"
CLAIM: Final = "boxfleet.dev/claim"
# Of a container that holds the network of the others, which have names of their own.
NETWORK_NAME: Final = "_network"

# init: runs to its end first. main: goes on. network: holds the addresses for several containers.
Role = Literal["init", "sidecar", "main", "network"]


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """An instance, by where it is on the engine."""

    namespace: str
    name: str


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What a container's labels say."""

    namespace: str
    unit: str
    pod: str
    uid: str
    container: str
    role: str
    hash: str
    incarnation: str

    @property
    def instance(self) -> Instance:
        """Whose it is."""
        return Instance(namespace=self.namespace, name=self.pod)


def read(table: Mapping[str, str]) -> Mark:
    """The labels of a container of this fleet."""
    return Mark(
        namespace=table.get(NAMESPACE, ""),
        unit=table.get(UNIT, ""),
        pod=table.get(POD, ""),
        uid=table.get(UID, ""),
        container=table.get(CONTAINER, ""),
        role=table.get(ROLE, ""),
        hash=table.get(HASH, ""),
        incarnation=table.get(INCARNATION, ""),
    )


def of_instance(fleet: str, share: cluster.Share, ordinal: int, pod: pods.Pod) -> dict[str, str]:
    """Labels of all that is made for one instance."""
    found = {
        FLEET: fleet,
        NAMESPACE: share.namespace,
        UNIT: share.unit,
        ORDINAL: str(ordinal),
        POD: pod.metadata.name,
        UID: pod.metadata.uid,
    }
    return found | ({labels.BOX: share.box} if share.box else {})


def of_claim(fleet: str, share: cluster.Share, claim: str) -> dict[str, str]:
    """Labels of the volume of a claim."""
    return {FLEET: fleet, NAMESPACE: share.namespace, UNIT: share.unit, CLAIM: claim}


def container_name(pod: pods.Pod, container: str) -> str:
    """The engine's name of a container; no part of it can hold the ``_`` between them."""
    return f"{pod.metadata.namespace}_{pod.metadata.name}_{container}"


def volume_name(pod: pods.Pod, volume: str) -> str:
    """The engine's name of a volume that lives as long as its Pod."""
    return f"{pod.metadata.namespace}_{pod.metadata.name}_{volume}"


def claim_name(namespace: str, claim: str) -> str:
    """The engine's name of the volume of a claim."""
    return f"{namespace}_{claim}"


def fingerprint(container: pods.Container) -> str:
    """Changes when a container must be made anew: the image is all that may change in a Pod."""
    return ids.fingerprint([container.name, container.image])


def filters(fleet: str, **more: str) -> dict[str, list[str]]:
    """What the engine's lists are to be narrowed down to; names with ``_`` for ``-``."""
    return {"label": [f"{FLEET}={fleet}", *(f"boxfleet.dev/{name}={value}" for name, value in more.items())]}
