"""A Pod as a Swarm's service (``POST /services/create``), with its files as configs and secrets."""

import base64
from typing import Any, Final

import msgspec

from boxfleet.api import pod as pods
from boxfleet.drivers.docker import given, marks, pieces, volumes
from boxfleet.drivers.docker.swarm import support
from boxfleet.kit import ids, quantity
from boxfleet.ports import cluster

_SECOND: Final = 1_000_000_000
# Seconds before a task that ended is followed by the next.
_DELAY: Final = 2


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A config or secret: they never change, so their names come from what is in them."""

    name: str
    hidden: bool
    labels: dict[str, str]
    content: bytes
    target: str
    mode: int
    owner: int
    group: int

    @property
    def body(self) -> dict[str, Any]:
        """What it is made of."""
        return {"Name": self.name, "Labels": self.labels, "Data": base64.b64encode(self.content).decode()}


def name(namespace: str, instance: str) -> str:
    """The name of an instance's service."""
    return f"{namespace}_{instance}"


def files(wanted: given.Given, engine: given.Engine) -> list[Kept]:
    """All files of an instance. Raises Unsupported, and `pod_volumes.Missing`."""
    container = wanted.pod.spec.containers[0]
    by_name = {volume.name: volume for volume in wanted.pod.spec.volumes}
    security = wanted.pod.spec.securityContext
    group = security.fsGroup if security is not None and security.fsGroup is not None else 0
    table = marks.of_instance(engine.fleet, wanted.share, wanted.ordinal, wanted.pod)
    found = []
    for mount in container.volumeMounts:
        volume = by_name[mount.name]
        for file in volumes.files(volume, wanted, engine, pod_ip="") or ():
            if mount.subPath and file.path != mount.subPath:
                continue
            target = mount.mountPath if mount.subPath else f"{mount.mountPath.rstrip('/')}/{file.path}"
            if not 0 < len(file.content) < support.FILE:
                raise cluster.Unsupported(
                    f"{wanted.pod.metadata.name}: {target}: a Swarm's files have between 1 byte and 500 KiB"
                )
            # Of projected files nobody knows any more where they came from.
            hidden = volume.secret is not None or volume.projected is not None
            mark = [wanted.share.namespace, wanted.pod.metadata.name, target, base64.b64encode(file.content).decode()]
            found.append(
                Kept(
                    name=f"boxfleet-{ids.fingerprint(mark, length=40)}",
                    hidden=hidden,
                    labels={key: value for key, value in table.items() if key != marks.UID},
                    content=file.content,
                    target=target,
                    mode=file.mode | (0o440 if group else 0),
                    owner=file.owner or 0,
                    group=group,
                )
            )
    return found


def service(wanted: given.Given, engine: given.Engine, kept: list[tuple[Kept, str]], *, forced: int) -> dict[str, Any]:
    """The whole service; `kept` are its files with their ids. Raises `pod_volumes.Missing`."""
    pod, spec = wanted.pod, wanted.pod.spec
    container = spec.containers[0]
    table = marks.of_instance(engine.fleet, wanted.share, wanted.ordinal, pod)
    table[marks.HASH] = fingerprint(wanted)
    made = pieces.piece(wanted, engine, container, "main", incarnation="", holder_id="", pod_ip="").body
    host = made["HostConfig"]
    inner: dict[str, Any] = {
        "Image": container.image,
        "Env": made["Env"],
        "Labels": {**made["Labels"], marks.HASH: table[marks.HASH]},
        "TTY": container.tty,
        "OpenStdin": container.stdin,
        "ReadOnly": host["ReadonlyRootfs"],
        "StopGracePeriod": spec.terminationGracePeriodSeconds * _SECOND,
        "CapabilityAdd": _capabilities(host["CapAdd"]),
        "CapabilityDrop": _capabilities(host["CapDrop"]),
        "Groups": host["GroupAdd"],
        "Mounts": _mounts(wanted),
        "Secrets": [_reference(one, found, "Secret") for one, found in kept if one.hidden],
        "Configs": [_reference(one, found, "Config") for one, found in kept if not one.hidden],
        "Hosts": [f"{alias.ip} {each}" for alias in spec.hostAliases for each in alias.hostnames],
    }
    for theirs, ours in (("Command", "Entrypoint"), ("Args", "Cmd"), ("Dir", "WorkingDir"), ("User", "User")):
        if made.get(ours):
            inner[theirs] = made[ours]
    if not spec.hostNetwork:
        inner["Hostname"] = made["Hostname"]
        inner["DNSConfig"] = {
            "Nameservers": host["Dns"],
            "Search": host["DnsSearch"],
            "Options": host["DnsOptions"],
        }
        inner["Sysctls"] = host.get("Sysctls", {})
    health = _health(container)
    if health is not None:
        inner["HealthCheck"] = health
    network = {"Target": "host"} if spec.hostNetwork else {
        "Target": engine.network,
        "Aliases": pieces.names(wanted, domain=engine.domain),
    }  # fmt: skip
    return {
        "Name": name(wanted.share.namespace, pod.metadata.name),
        "Labels": table,
        "TaskTemplate": {
            "ContainerSpec": inner,
            "Resources": _resources(container),
            "RestartPolicy": {
                "Condition": {"Always": "any", "OnFailure": "on-failure"}.get(spec.restartPolicy, "none"),
                "Delay": _DELAY * _SECOND,
            },
            "Placement": {"Constraints": support.constraints(spec)},
            "Networks": [network],
            "ForceUpdate": forced,
        },
        "Mode": {"Replicated": {"Replicas": 1}},
        "UpdateConfig": {"Parallelism": 1, "Order": "stop-first", "FailureAction": "continue"},
        # Without the kernel's load balancer, which not every host has: names lead to instances.
        "EndpointSpec": {"Mode": "dnsrr", "Ports": [] if spec.hostNetwork else _ports(container)},
    }


def fingerprint(wanted: given.Given) -> str:
    """Changes when an instance must be made anew."""
    return ids.fingerprint([wanted.pod.metadata.uid, wanted.pod.spec.containers[0].image])


def _reference(one: Kept, found: str, kind: str) -> dict[str, Any]:
    place = {"Name": one.target, "UID": str(one.owner), "GID": str(one.group), "Mode": one.mode}
    return {"File": place, f"{kind}ID": found, f"{kind}Name": one.name}


def _mounts(wanted: given.Given) -> list[dict[str, Any]]:
    by_name = {volume.name: volume for volume in wanted.pod.spec.volumes}
    found: list[dict[str, Any]] = []
    for mount in wanted.pod.spec.containers[0].volumeMounts:
        volume = by_name[mount.name]
        if volumes.holds_files(volume):
            continue
        empty = volume.emptyDir
        if empty is not None and empty.medium == "Memory":
            options: dict[str, Any] = {"Mode": 0o1777}
            if empty.sizeLimit is not None:
                options["SizeBytes"] = quantity.whole(empty.sizeLimit)
            found.append({"Type": "tmpfs", "Target": mount.mountPath, "TmpfsOptions": options})
        else:
            found.append({"Type": "volume", "Target": mount.mountPath, "VolumeOptions": {"NoCopy": True}})
    return found


def _resources(container: pods.Container) -> dict[str, Any]:
    def amounts(given_ones: dict[str, int | str]) -> dict[str, int]:
        found = {}
        if "cpu" in given_ones:
            found["NanoCPUs"] = quantity.milli(given_ones["cpu"]) * 1_000_000
        if "memory" in given_ones:
            found["MemoryBytes"] = quantity.whole(given_ones["memory"])
        return found

    return {
        "Limits": {**amounts(container.resources.limits), "Pids": pieces.PIDS},
        "Reservations": amounts(container.resources.requests),
    }


def _health(container: pods.Container) -> dict[str, Any] | None:
    """A Swarm shows what fails its check as not running, and replaces it: readiness and liveness at once."""
    probe = container.livenessProbe or container.readinessProbe
    if probe is None or probe.exec is None:
        return None
    wait = probe.initialDelaySeconds
    if container.startupProbe is not None:
        wait += container.startupProbe.periodSeconds * container.startupProbe.failureThreshold
    return {
        "Test": ["CMD", *probe.exec.command],
        "Interval": max(1, probe.periodSeconds) * _SECOND,
        "Timeout": max(1, probe.timeoutSeconds) * _SECOND,
        "Retries": max(1, probe.failureThreshold),
        "StartPeriod": wait * _SECOND,
    }


def _ports(container: pods.Container) -> list[dict[str, Any]]:
    return [
        {
            "Protocol": port.protocol.lower(),
            "TargetPort": port.containerPort,
            "PublishedPort": port.hostPort,
            "PublishMode": "host",
        }
        for port in container.ports
        if port.hostPort
    ]


def _capabilities(names: list[str]) -> list[str]:
    return [each if each == "ALL" or each.startswith("CAP_") else f"CAP_{each}" for each in names]
