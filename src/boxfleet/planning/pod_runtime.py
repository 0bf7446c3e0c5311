"""A Pod in the runtime's words: the configuration of its sandbox and containers."""

from collections.abc import Mapping, Sequence

import msgspec

from boxfleet.api import labels
from boxfleet.api import pod as pods
from boxfleet.planning import environment, marks
from boxfleet.ports import runtime


class Resolver(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of a resolv.conf."""

    servers: list[str] = []
    searches: list[str] = []
    options: list[str] = []


def resolver(pod: pods.Pod, *, cluster: str, domain: str, host: Resolver) -> Resolver:
    """How names are looked up in a Pod. `cluster` is the cluster's name server, `domain` its suffix."""
    policy = pod.spec.dnsPolicy
    if policy == "None":
        base = Resolver()
    elif policy == "Default" or (policy == "ClusterFirst" and pod.spec.hostNetwork) or not cluster:
        base = host
    else:
        namespace = f"{pod.metadata.namespace}.{domain}"
        box = pod.metadata.labels.get(labels.BOX, "")
        searches = ([f"{box}.{namespace}"] if box else []) + [namespace, domain]
        base = Resolver(servers=[cluster], searches=searches, options=["ndots:2"])
    extra = pod.spec.dnsConfig
    if extra is None:
        return base
    options = {option.partition(":")[0]: option for option in base.options}
    for option in extra.options:
        options[option.name] = f"{option.name}:{option.value}" if option.value is not None else option.name
    return Resolver(
        servers=_unique([*base.servers, *extra.nameservers]),
        searches=_unique([*base.searches, *extra.searches]),
        options=list(options.values()),
    )


def sandbox(
    pod: pods.Pod, *, attempt: int, dns: Resolver, log_directory: str, cgroup_parent: str
) -> runtime.SandboxConfig:
    """The sandbox of a Pod."""
    spec = pod.spec
    security = spec.securityContext or pods.PodSecurityContext()
    return runtime.SandboxConfig(
        name=pod.metadata.name,
        namespace=pod.metadata.namespace,
        uid=pod.metadata.uid,
        attempt=attempt,
        hostname="" if spec.hostNetwork else (spec.hostname or pod.metadata.name)[:63].rstrip("-."),
        log_directory=log_directory,
        dns_servers=dns.servers,
        dns_searches=dns.searches,
        dns_options=dns.options,
        ports=[] if spec.hostNetwork else _ports(spec),
        labels=marks.of_pod(pod),
        annotations={},
        cgroup_parent=cgroup_parent,
        host_network=spec.hostNetwork,
        host_pid=spec.hostPID,
        host_ipc=spec.hostIPC,
        share_process_namespace=spec.shareProcessNamespace,
        sysctls={sysctl.name: sysctl.value for sysctl in security.sysctls},
        run_as_user=security.runAsUser,
        run_as_group=security.runAsGroup,
        supplemental_groups=_groups(security),
        privileged=any(
            container.securityContext is not None and container.securityContext.privileged
            # Not the ephemeral ones: the sandbox is there before they come.
            for container in (*spec.initContainers, *spec.containers)
        ),
    )


def container(
    pod: pods.Pod,
    wanted: pods.Container,
    *,
    attempt: int,
    failures: int,
    image: str,
    env: Mapping[str, str],
    mounts: Sequence[runtime.Mount],
    limits: runtime.Limits,
    target_id: str = "",
) -> runtime.ContainerConfig:
    """One container of a Pod; `image` is what the runtime shall use, `env` its whole environment.

    `target_id` is the engine's name of the container whose processes it shares.
    """
    spec = pod.spec
    whole = spec.securityContext or pods.PodSecurityContext()
    own = wanted.securityContext or pods.SecurityContext()
    capabilities = own.capabilities or pods.Capabilities()
    return runtime.ContainerConfig(
        name=wanted.name,
        image=image,
        attempt=attempt,
        command=[environment.expand(word, env) for word in wanted.command],
        args=[environment.expand(word, env) for word in wanted.args],
        working_dir=wanted.workingDir,
        env=dict(env),
        mounts=list(mounts),
        labels=marks.of_container(pod, wanted),
        annotations={marks.FAILURES: str(failures), marks.HASH: marks.container_hash(wanted)},
        log_path=log_path(wanted.name, attempt=attempt),
        stdin=wanted.stdin,
        stdin_once=wanted.stdinOnce,
        tty=wanted.tty,
        limits=limits,
        privileged=bool(own.privileged),
        run_as_user=own.runAsUser if own.runAsUser is not None else whole.runAsUser,
        run_as_group=own.runAsGroup if own.runAsGroup is not None else whole.runAsGroup,
        supplemental_groups=_groups(whole),
        readonly_rootfs=bool(own.readOnlyRootFilesystem),
        no_new_privileges=own.allowPrivilegeEscalation is False,
        add_capabilities=capabilities.add,
        drop_capabilities=capabilities.drop,
        host_network=spec.hostNetwork,
        host_pid=spec.hostPID,
        host_ipc=spec.hostIPC,
        share_process_namespace=spec.shareProcessNamespace,
        target_id=target_id,
    )


def root_refused(pod: pods.Pod, wanted: pods.Container, *, image_user: str) -> str:
    """Why runAsNonRoot forbids to start a container; empty when it does not."""
    whole = pod.spec.securityContext or pods.PodSecurityContext()
    own = wanted.securityContext or pods.SecurityContext()
    strict = own.runAsNonRoot if own.runAsNonRoot is not None else whole.runAsNonRoot
    if not strict:
        return ""
    user = own.runAsUser if own.runAsUser is not None else whole.runAsUser
    if user is not None:
        return "container's runAsUser breaks non-root policy: set a user above 0" if user == 0 else ""
    name = image_user.partition(":")[0]
    if name in ("", "0", "root"):
        return "container has runAsNonRoot and image will run as root: set runAsUser"
    if not name.isdecimal():
        return f"container has runAsNonRoot and image has non-numeric user ({name}): set runAsUser"
    return ""


def log_folder(pod: pods.Pod) -> str:
    """The folder of a Pod's logs, below that of all logs."""
    return f"{pod.metadata.namespace}_{pod.metadata.name}_{pod.metadata.uid}"


def log_path(name: str, *, attempt: int) -> str:
    """A container's log file below its Pod's folder."""
    return f"{name}/{attempt}.log"


def hosts_file(pod: pods.Pod, *, ip: str) -> str:
    """The /etc/hosts of a Pod with its own network."""
    name = (pod.spec.hostname or pod.metadata.name)[:63].rstrip("-.")
    lines = [
        "# Written by Boxfleet; add lines with spec.hostAliases.",
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::0\tip6-localnet",
        "ff02::1\tip6-allnodes",
        "ff02::2\tip6-allrouters",
    ]
    if ip:
        lines.append(f"{ip}\t{name}")
    return "\n".join(lines) + "\n" + host_aliases(pod)


def host_aliases(pod: pods.Pod) -> str:
    """The lines for /etc/hosts that the Pod asks for."""
    return "".join(f"{alias.ip}\t{' '.join(alias.hostnames)}\n" for alias in pod.spec.hostAliases)


def _ports(spec: pods.PodSpec) -> list[runtime.PortMapping]:
    sidecars = [one for one in spec.initContainers if one.is_sidecar]
    return [
        runtime.PortMapping(
            container_port=port.containerPort,
            host_port=port.hostPort,
            protocol=port.protocol,
            host_ip=port.hostIP,
        )
        for one in [*sidecars, *spec.containers]
        for port in one.ports
        if port.hostPort
    ]


def _groups(security: pods.PodSecurityContext) -> list[int]:
    extra = [] if security.fsGroup is None else [security.fsGroup]
    return [*security.supplementalGroups, *extra]


def _unique(words: list[str]) -> list[str]:
    return list(dict.fromkeys(words))
