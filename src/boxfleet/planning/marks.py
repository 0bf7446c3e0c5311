"""Labels and annotations that the agent leaves on sandboxes and containers, to find them again after any crash.

The labels are those that every CRI tool reads (``crictl ps`` shows them).
"""

from boxfleet.api import pod as pods
from boxfleet.kit import ids
from boxfleet.ports import runtime

POD_NAME = "io.kubernetes.pod.name"
POD_NAMESPACE = "io.kubernetes.pod.namespace"
POD_UID = "io.kubernetes.pod.uid"
CONTAINER_NAME = "io.kubernetes.container.name"

# See `failures_before`.
FAILURES = "boxfleet.dev/failures"
# Fingerprint of what an update in place may change.
HASH = "boxfleet.dev/container-hash"


def of_pod(pod: pods.Pod) -> dict[str, str]:
    """Labels of a sandbox."""
    meta = pod.metadata
    return meta.labels | {POD_NAME: meta.name, POD_NAMESPACE: meta.namespace, POD_UID: meta.uid}


def of_container(pod: pods.Pod, container: pods.Container) -> dict[str, str]:
    """Labels of a container."""
    meta = pod.metadata
    return {
        POD_NAME: meta.name,
        POD_NAMESPACE: meta.namespace,
        POD_UID: meta.uid,
        CONTAINER_NAME: container.name,
    }


def failures_before(container: runtime.ContainerStatus) -> int:
    """How often in a row the container had ended too soon when this attempt of it was made."""
    said = container.annotations.get(FAILURES, "0")
    return int(said) if said.isdecimal() else 0


def container_hash(container: pods.Container) -> str:
    """Changes when the container must be made anew: the image is all that may change in a bound Pod."""
    return ids.fingerprint([container.name, container.image])
