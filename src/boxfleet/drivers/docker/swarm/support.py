"""What a Swarm cannot do of a Pod, found before anything is made."""

from collections.abc import Iterator

from boxfleet.api import labels
from boxfleet.api import pod as pods
from boxfleet.drivers.docker import given
from boxfleet.ports import cluster

# The longest name of a service, and the most that a config or secret holds (bytes).
NAME = 63
FILE = 500 * 1024


def check(wanted: given.Given, engine: given.Engine) -> None:
    """Raises Unsupported with the first field that a Swarm cannot serve, and the way out."""
    for path, words in _faults(wanted, engine):
        raise cluster.Unsupported(f"{wanted.pod.metadata.name}: {path}: {words}")


def _faults(wanted: given.Given, engine: given.Engine) -> Iterator[tuple[str, str]]:
    spec = wanted.pod.spec
    apart = "containers of a Swarm share no network: use an engine by itself, or one container"
    if len(f"{wanted.share.namespace}_{wanted.pod.metadata.name}") > NAME:
        yield "metadata.name", f"with its Namespace it is longer than the {NAME} characters of a service's name"
    if len(spec.containers) != 1:
        yield "spec.containers", apart
    if spec.initContainers:
        yield "spec.initContainers", apart
    for name, said in (
        ("activeDeadlineSeconds", spec.activeDeadlineSeconds is not None),
        ("ephemeralContainers", bool(spec.ephemeralContainers)),
        ("hostPID", spec.hostPID),
        ("hostIPC", spec.hostIPC),
    ):
        if said:
            yield f"spec.{name}", "a Swarm has nothing like it: leave it out"
    near = spec.affinity.nodeAffinity if spec.affinity is not None else None
    if near is not None and near.requiredDuringSchedulingIgnoredDuringExecution is not None:
        yield "spec.affinity.nodeAffinity", "a Swarm knows labels of nodes only one by one: use nodeSelector"
    for index, volume in enumerate(spec.volumes):
        path = f"spec.volumes[{index}]"
        if volume.hostPath is not None:
            yield f"{path}.hostPath", "hosts of a Swarm differ: use files, or an engine by itself"
        if volume.csi is not None:
            yield f"{path}.csi", f"a Swarm knows no driver {volume.csi.driver}: use a cluster of hosts"
        if volume.persistentVolumeClaim is not None:
            yield (
                f"{path}.persistentVolumeClaim",
                "a Swarm's volumes do not follow an instance to another host: use an engine by itself",
            )
        if volume.projected is not None and volume.projected.tokens:
            yield f"{path}.projected.sources", "a serviceAccountToken is no use without the API of a cluster"
    for index, container in enumerate(spec.containers):
        yield from _of_container(container, f"spec.containers[{index}]", wanted)


def _of_container(container: pods.Container, path: str, wanted: given.Given) -> Iterator[tuple[str, str]]:
    if container.securityContext is not None and container.securityContext.privileged:
        yield f"{path}.securityContext.privileged", "a Swarm runs nothing privileged: add capabilities instead"
    if container.lifecycle is not None:
        yield f"{path}.lifecycle", "a Swarm has no hooks: let the program do it, or use an engine by itself"
    by_name = {volume.name: volume for volume in wanted.pod.spec.volumes}
    for index, mount in enumerate(container.volumeMounts):
        volume = by_name.get(mount.name)
        if volume is not None and volume.emptyDir is not None and mount.subPath:
            yield f"{path}.volumeMounts[{index}].subPath", "a Swarm mounts whole folders only: use a volume of its own"
    probes = [("startupProbe", container.startupProbe), ("readinessProbe", container.readinessProbe)]
    for name, probe in [*probes, ("livenessProbe", container.livenessProbe)]:
        if probe is not None and probe.exec is None:
            yield f"{path}.{name}", "a Swarm's hosts check by commands only: use exec"
    ready, live = container.readinessProbe, container.livenessProbe
    if ready is not None and live is not None and ready.exec != live.exec:
        yield f"{path}.readinessProbe", "a Swarm has one check for both: use the command of livenessProbe"


def constraints(spec: pods.PodSpec) -> list[str]:
    """Where an instance may run, in a Swarm's words."""
    known = {labels.HOSTNAME: "node.hostname", labels.OS: "node.platform.os", labels.ARCH: "node.platform.arch"}
    architectures = {"amd64": "x86_64", "arm64": "aarch64"}
    found = []
    for name, value in spec.nodeSelector.items():
        if name == labels.ARCH:
            value = architectures.get(value, value)
        found.append(f"{known.get(name, f'node.labels.{name}')}=={value}")
    return found
