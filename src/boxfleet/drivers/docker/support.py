"""What an engine cannot do of a Pod, found before anything is made."""

import ipaddress
from collections.abc import Iterator

from boxfleet.api import pod as pods
from boxfleet.drivers.docker import given, pause, volumes
from boxfleet.ports import cluster


def check(wanted: given.Given, engine: given.Engine) -> None:
    """Raises Unsupported with the first field that the engine cannot serve, and the way out."""
    for path, words in _faults(wanted, engine):
        name = wanted.pod.metadata.name
        raise cluster.Unsupported(f"{name}: {path}: {words}")


def needs_network_holder(wanted: given.Given, engine: given.Engine) -> bool:
    """Whether a container of its own holds the network: for several, or when the address must be known before."""
    spec = wanted.pod.spec
    if spec.hostNetwork:
        return False
    lasting = [*spec.containers, *(one for one in spec.initContainers if one.is_sidecar)]
    if len(lasting) > 1:
        return True
    return not own_address(wanted, engine) and asks_for_address(spec)


def own_address(wanted: given.Given, engine: given.Engine) -> str:
    """The ledger's address, where the engine's network has it."""
    address = wanted.address
    if not address or wanted.pod.spec.hostNetwork:
        return ""
    known = ipaddress.ip_address(address)
    return address if any(known in ipaddress.ip_network(one) for one in engine.subnets) else ""


def asks_for_address(spec: pods.PodSpec) -> bool:
    """Whether its environment or files name its own address."""
    words = ("status.podIP", "status.podIPs")
    variables = (
        variable.valueFrom.fieldRef.fieldPath in words
        for container in spec.every_container
        for variable in container.env
        if variable.valueFrom is not None and variable.valueFrom.fieldRef is not None
    )
    items = (
        item.fieldRef.fieldPath in words
        for volume in spec.volumes
        for item in [
            *(volume.downwardAPI.items if volume.downwardAPI is not None else ()),
            *(
                item
                for part in (volume.projected.sources if volume.projected is not None else ())
                if part.downwardAPI is not None
                for item in part.downwardAPI.items
            ),
        ]
        if item.fieldRef is not None
    )
    return any(variables) or any(items)


def _faults(wanted: given.Given, engine: given.Engine) -> Iterator[tuple[str, str]]:
    spec = wanted.pod.spec
    for index, volume in enumerate(spec.volumes):
        path = f"spec.volumes[{index}]"
        if volume.hostPath is not None and not engine.local:
            yield f"{path}.hostPath", "a folder of the host is only for an engine on this machine: use a claim"
        if volume.hostPath is not None and volume.hostPath.type == "FileOrCreate":
            yield f"{path}.hostPath.type", "an engine makes folders only: make the file, and use File"
        if volume.csi is not None:
            yield f"{path}.csi", f"an engine knows no driver {volume.csi.driver}: use a cluster of hosts"
        if volume.projected is not None and volume.projected.tokens:
            yield (
                f"{path}.projected.sources",
                "a serviceAccountToken is no use without the API of a cluster: leave it out, or use a cluster of hosts",
            )
    if needs_network_holder(wanted, engine) and not pause.knows(engine.architecture):
        yield "spec.containers", f"several containers cannot share a network on {engine.architecture}: use one"
    for kind, containers in (("containers", spec.containers), ("initContainers", spec.initContainers)):
        for index, container in enumerate(containers):
            yield from _of_container(container, f"spec.{kind}[{index}]", wanted, engine)
    if spec.ephemeralContainers:
        yield "spec.ephemeralContainers", "an engine's containers cannot be joined by others: use exec"
    if spec.activeDeadlineSeconds is not None:
        yield "spec.activeDeadlineSeconds", "an engine ends nothing by time: let the program end itself"


def _of_container(
    container: pods.Container, path: str, wanted: given.Given, engine: given.Engine
) -> Iterator[tuple[str, str]]:
    by_name = {volume.name: volume for volume in wanted.pod.spec.volumes}
    read_only = container.securityContext is not None and container.securityContext.readOnlyRootFilesystem
    for index, mount in enumerate(container.volumeMounts):
        volume = by_name.get(mount.name)
        if volume is None:
            yield f"{path}.volumeMounts[{index}].name", f"there is no volume {mount.name}"
        elif volumes.is_copied(volume, mount) and read_only:
            yield (
                f"{path}.volumeMounts[{index}].subPath",
                "a single file cannot be put into a read-only root: mount the whole volume into a folder",
            )
        elif mount.subPath and not volumes.is_copied(volume, mount) and volume.hostPath is None:
            yield (
                f"{path}.volumeMounts[{index}].subPath",
                "an engine mounts whole volumes only: use a volume of its own for this folder",
            )
    for name, probe in (
        ("startupProbe", container.startupProbe),
        ("readinessProbe", container.readinessProbe),
        ("livenessProbe", container.livenessProbe),
    ):
        if probe is not None and _needs_way(probe) and not _has_way(probe, wanted, engine):
            yield f"{path}.{name}", _no_way("use exec")
    life = container.lifecycle
    if life is not None:
        for name, hook in (("postStart", life.postStart), ("preStop", life.preStop)):
            if hook is not None and _needs_way(hook) and not _has_way(hook, wanted, engine):
                yield f"{path}.lifecycle.{name}", _no_way("use exec")
    for name in container.resources.limits:
        if name not in ("cpu", "memory", "ephemeral-storage") and not name.startswith("hugepages-"):
            yield f"{path}.resources.limits", f"an engine knows nothing of {name}: leave it out"


def _needs_way(handler: pods.Probe | pods.LifecycleHandler) -> bool:
    return handler.httpGet is not None or handler.tcpSocket is not None


def _has_way(handler: pods.Probe | pods.LifecycleHandler, wanted: given.Given, engine: given.Engine) -> bool:
    host = (handler.httpGet.host if handler.httpGet is not None else "") or (
        handler.tcpSocket.host if handler.tcpSocket is not None else ""
    )
    return engine.reachable or bool(host) or (wanted.pod.spec.hostNetwork and engine.local)


def _no_way(instead: str) -> str:
    return (
        "the addresses of this engine's containers cannot be reached from Boxfleet, so it cannot ask there: "
        f"{instead}, or use an engine on Boxfleet's own machine"
    )
