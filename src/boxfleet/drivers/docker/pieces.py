"""A Pod in the engine's words: the bodies of ``POST /containers/create``."""

from typing import Any

import msgspec

from boxfleet.api import pod as pods
from boxfleet.drivers.docker import given, marks, pause, support, volumes
from boxfleet.planning import domains, environment, pod_resources, pod_runtime, pod_volumes

# Processes that a container may have; engines set no bound by themselves.
PIDS = 4096
# How often a container's log begins anew, and how many old parts stay.
_LOG = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """One container to be."""

    name: str
    role: str
    body: dict[str, Any]
    # What is put into it before it starts, by path below the root.
    files: list[pod_volumes.File] = []


def order(wanted: given.Given, engine: given.Engine) -> list[tuple[str, str]]:
    """The containers of an instance with their roles, in the order of their starts."""
    spec = wanted.pod.spec
    holder = [(marks.NETWORK_NAME, "network")] if support.needs_network_holder(wanted, engine) else []
    inits = [(one.name, "sidecar" if one.is_sidecar else "init") for one in spec.initContainers]
    return [*holder, *inits, *((one.name, "main") for one in spec.containers)]


def holder(wanted: given.Given, engine: given.Engine, *, incarnation: str) -> Piece:
    """The container that only holds the network of the others."""
    body = {
        "Image": pause.IMAGE,
        "Hostname": _hostname(wanted.pod),
        "Labels": _labels(wanted, engine, marks.NETWORK_NAME, "network", "", incarnation),
        "HostConfig": {
            "RestartPolicy": {"Name": "unless-stopped"},
            "NetworkMode": engine.network,
            "IpcMode": "shareable",
            "ReadonlyRootfs": True,
            "LogConfig": _LOG,
            **_network(wanted, engine),
        },
        "ExposedPorts": _exposed(wanted),
        "NetworkingConfig": _endpoints(wanted, engine),
    }
    return Piece(name=marks.container_name(wanted.pod, "network") + "_", role="network", body=body)


def piece(
    wanted: given.Given, engine: given.Engine, container: pods.Container, role: str, *,
    incarnation: str, holder_id: str, pod_ip: str,
) -> Piece:  # fmt: skip
    """One of the Pod's own containers. Raises `pod_volumes.Missing`."""
    pod, spec = wanted.pod, wanted.pod.spec
    env = environment.build(container, wanted.facts(engine, pod_ip=pod_ip))
    mounts, binds = volumes.mounts(container, wanted)
    whole = spec.securityContext or pods.PodSecurityContext()
    own = container.securityContext or pods.SecurityContext()
    host: dict[str, Any] = {
        "RestartPolicy": {"Name": _restart(spec, role)},
        "Mounts": mounts,
        "Binds": binds,
        "LogConfig": _LOG,
        "Privileged": bool(own.privileged),
        "ReadonlyRootfs": bool(own.readOnlyRootFilesystem),
        "CapAdd": own.capabilities.add if own.capabilities is not None else [],
        "CapDrop": own.capabilities.drop if own.capabilities is not None else [],
        "SecurityOpt": ["no-new-privileges"] if own.allowPrivilegeEscalation is False else [],
        "GroupAdd": [
            str(group) for group in [*whole.supplementalGroups, *([whole.fsGroup] if whole.fsGroup is not None else [])]
        ],
        "PidsLimit": PIDS,
        **_limits(container, spec, engine),
    }
    body: dict[str, Any] = {
        "Image": container.image,
        "Env": [f"{name}={value}" for name, value in env.items()],
        "Labels": _labels(wanted, engine, container.name, role, marks.fingerprint(container), incarnation),
        "OpenStdin": container.stdin,
        "StdinOnce": container.stdinOnce,
        "Tty": container.tty,
        "StopTimeout": spec.terminationGracePeriodSeconds,
        "HostConfig": host,
    }
    hook = container.lifecycle.preStop if container.lifecycle is not None else None
    if hook is not None:
        body["Labels"][marks.PRE_STOP] = msgspec.json.encode(hook).decode()
        body["Labels"][marks.PORTS] = msgspec.json.encode(container.ports).decode()
    if container.command:
        body["Entrypoint"] = [environment.expand(word, env) for word in container.command]
        # Else the image's arguments would follow a command that is not theirs.
        body["Cmd"] = []
    if container.args:
        body["Cmd"] = [environment.expand(word, env) for word in container.args]
    if container.workingDir:
        body["WorkingDir"] = container.workingDir
    user = own.runAsUser if own.runAsUser is not None else whole.runAsUser
    group = own.runAsGroup if own.runAsGroup is not None else whole.runAsGroup
    if user is not None:
        body["User"] = f"{user}:{group}" if group is not None else str(user)
    if spec.hostPID:
        host["PidMode"] = "host"
    if spec.hostIPC:
        host["IpcMode"] = "host"
    if holder_id:
        host["NetworkMode"] = f"container:{holder_id}"
        if not spec.hostIPC:
            host["IpcMode"] = f"container:{holder_id}"
        if spec.shareProcessNamespace and not spec.hostPID:
            host["PidMode"] = f"container:{holder_id}"
    elif spec.hostNetwork:
        host["NetworkMode"] = "host"
    else:
        body["Hostname"] = _hostname(pod)
        body["ExposedPorts"] = _exposed(wanted)
        body["NetworkingConfig"] = _endpoints(wanted, engine)
        host["NetworkMode"] = engine.network
        host |= _network(wanted, engine)
    return Piece(
        name=marks.container_name(pod, container.name),
        role=role,
        body=body,
        files=volumes.copied(container, wanted, engine, pod_ip=pod_ip),
    )


def _restart(spec: pods.PodSpec, role: str) -> str:
    """The engine heals by itself while Boxfleet is away; what somebody stopped by hand is not its to start."""
    if role == "sidecar":
        return "unless-stopped"
    if role == "init":
        return "no" if spec.restartPolicy == "Never" else "on-failure"
    return {"Always": "unless-stopped", "OnFailure": "on-failure"}.get(spec.restartPolicy, "no")


def _labels(
    wanted: given.Given, engine: given.Engine, container: str, role: str, fingerprint: str, incarnation: str
) -> dict[str, str]:
    return marks.of_instance(engine.fleet, wanted.share, wanted.ordinal, wanted.pod) | {
        marks.CONTAINER: container,
        marks.ROLE: role,
        marks.HASH: fingerprint,
        marks.INCARNATION: incarnation,
    }


def _hostname(pod: pods.Pod) -> str:
    return (pod.spec.hostname or pod.metadata.name)[:63].rstrip("-.")


def _limits(container: pods.Container, spec: pods.PodSpec, engine: given.Engine) -> dict[str, Any]:
    limits = pod_resources.limits(
        container,
        quality=pod_resources.quality(spec),
        memory_capacity=engine.memory,
        # An engine refuses more than it has.
        cpu_ceiling=engine.cpu or 1_000_000,
        # Below zero only the most privileged may go: an engine in a container may not.
        oom_floor=0,
    )
    found: dict[str, Any] = {"CpuShares": limits.cpu_shares, "OomScoreAdj": limits.oom_score_adj}
    if limits.cpu_quota:
        found |= {"CpuPeriod": limits.cpu_period, "CpuQuota": limits.cpu_quota}
    if limits.memory:
        found["Memory"] = limits.memory
        if engine.swap_limit:
            # No swap besides.
            found["MemorySwap"] = limits.memory
    return found


def _exposed(wanted: given.Given) -> dict[str, dict[str, str]]:
    return {f"{port.containerPort}/{port.protocol.lower()}": {} for port in _ports(wanted.pod.spec)}


def _ports(spec: pods.PodSpec) -> list[pods.ContainerPort]:
    sidecars = [one for one in spec.initContainers if one.is_sidecar]
    return [port for one in [*sidecars, *spec.containers] for port in one.ports]


def _network(wanted: given.Given, engine: given.Engine) -> dict[str, Any]:
    """Ports of the host, names, and the kernel's parameters: what belongs to who holds the network."""
    spec = wanted.pod.spec
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in _ports(spec):
        if port.hostPort:
            place = {"HostIp": port.hostIP, "HostPort": str(port.hostPort)}
            bindings.setdefault(f"{port.containerPort}/{port.protocol.lower()}", []).append(place)
    found: dict[str, Any] = {
        "PortBindings": bindings,
        "ExtraHosts": [f"{name}:{alias.ip}" for alias in spec.hostAliases for name in alias.hostnames],
    }
    security = spec.securityContext
    if security is not None and security.sysctls:
        found["Sysctls"] = {one.name: one.value for one in security.sysctls}
    resolver = _resolver(wanted, engine)
    return found | {"Dns": resolver.servers, "DnsSearch": resolver.searches, "DnsOptions": resolver.options}


def _resolver(wanted: given.Given, engine: given.Engine) -> pod_runtime.Resolver:
    # The engine's own name server answers in its networks and asks those that are named here for the rest.
    found = pod_runtime.resolver(wanted.pod, cluster="127.0.0.11", domain=engine.domain, host=pod_runtime.Resolver())
    return msgspec.structs.replace(found, servers=[one for one in found.servers if one != "127.0.0.11"])


def _endpoints(wanted: given.Given, engine: given.Engine) -> dict[str, Any]:
    endpoint: dict[str, Any] = {"Aliases": names(wanted, domain=engine.domain)}
    address = support.own_address(wanted, engine)
    if address:
        endpoint["IPAMConfig"] = {"IPv4Address": address}
    return {"EndpointsConfig": {engine.network: endpoint}}


def names(wanted: given.Given, *, domain: str) -> list[str]:
    """Domain names of an instance: its own, and its Unit's, which all of its instances there share."""
    share = wanted.share
    if not share.unit:
        return [domains.of_pod(namespace=share.namespace, name=wanted.pod.metadata.name, suffix=domain)]
    short = share.unit.removeprefix(f"{share.box}-") if share.box else share.unit
    of_unit = ".".join(part for part in (short, share.box, share.namespace, domain) if part)
    return [of_unit, domains.of_instance(wanted.pod.metadata.name, unit_domain=of_unit)]
