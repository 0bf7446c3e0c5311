"""Which container of a Pod a request means, and whether it can be reached; refusals in Kubernetes' words."""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from boxfleet.api import pod
from boxfleet.apiserver import faults, registry, route

DEFAULT_CONTAINER: Final = "kubectl.kubernetes.io/default-container"

# Reads a Pod by namespace and name; raises Fault 404.
FindPod = Callable[[str, str], Awaitable[pod.Pod]]


def in_store(objects: registry.Registry) -> FindPod:
    """Reads Pods where the API keeps them."""
    decoder = msgspec.json.Decoder(pod.Pod)

    async def find(namespace: str, name: str) -> pod.Pod:
        return decoder.decode(objects.read(pod.Pod.KIND, namespace=namespace, name=name).value)

    return find


def container(found: pod.Pod, wanted: str) -> str:
    """The container's name; raises Fault 400 when it is not there, or not clear which one."""
    name = found.metadata.name
    main = [one.name for one in found.spec.containers]
    init = [one.name for one in found.spec.initContainers]
    if wanted:
        if found.spec.find_container(wanted) is None:
            raise faults.bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    annotated = found.metadata.annotations.get(DEFAULT_CONTAINER, "")
    if annotated in main or (annotated and annotated in init):
        return annotated
    if len(main) == 1:
        return main[0]
    message = f"a container name must be specified for pod {name}, choose one of: [{' '.join(main)}]"
    if init:
        message += f" or one of the init containers: [{' '.join(init)}]"
    raise faults.bad_request(message)


def node(found: pod.Pod) -> str:
    """The Pod's node; raises Fault 400 while it has none."""
    if not found.spec.nodeName:
        raise faults.bad_request(f"pod {found.metadata.name} does not have a host assigned")
    return found.spec.nodeName


def refuse_finished(found: pod.Pod) -> None:
    """Raise Fault 400 for a Pod that has run to its end: nothing can be joined there."""
    if found.status.has_ended:
        raise faults.bad_request(
            f"cannot exec into a container in a completed pod; current phase is {found.status.phase}"
        )


def flag(call: route.Call, name: str) -> bool:
    """A yes-or-no query parameter, as `call.flag`, but a bare name counts as yes."""
    return name in call.query and (call.one(name) == "" or call.flag(name))
