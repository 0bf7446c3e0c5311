"""The port's words in CRI's, and back. No I/O."""

from collections.abc import Mapping

from boxfleet.drivers.containerd.wire import cri_pb2
from boxfleet.kit import cgroup
from boxfleet.ports import runtime

# What of /proc and /sys an ordinary container must not see, or not write: CRI leaves the lists to its caller.
# /proc/sysrq-trigger would restart the host, /proc/kcore is its memory.
_MASKED = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
]
_READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]

_PROTOCOLS: dict[str, cri_pb2.Protocol] = {"TCP": cri_pb2.TCP, "UDP": cri_pb2.UDP, "SCTP": cri_pb2.SCTP}
_STATES = {
    cri_pb2.CONTAINER_CREATED: runtime.State.CREATED,
    cri_pb2.CONTAINER_RUNNING: runtime.State.RUNNING,
    cri_pb2.CONTAINER_EXITED: runtime.State.EXITED,
    cri_pb2.CONTAINER_UNKNOWN: runtime.State.UNKNOWN,
}


def cgroup_parent(path: str, *, systemd: bool) -> str:
    """A cgroup path as the engine wants it: unchanged, or as the name of a systemd slice."""
    return cgroup.slice_name(path) if systemd and path else path


def sandbox_config(config: runtime.SandboxConfig, *, systemd: bool) -> cri_pb2.PodSandboxConfig:
    """A sandbox as CRI wants it; raises RuntimeFault for a port's protocol that there is not."""
    security = cri_pb2.LinuxSandboxSecurityContext(
        namespace_options=_namespaces(
            host_network=config.host_network,
            host_pid=config.host_pid,
            host_ipc=config.host_ipc,
            share_process_namespace=config.share_process_namespace,
        ),
        run_as_user=_maybe(config.run_as_user),
        run_as_group=_maybe(config.run_as_group),
        supplemental_groups=config.supplemental_groups,
        privileged=config.privileged,
        seccomp=_seccomp(privileged=config.privileged),
    )
    return cri_pb2.PodSandboxConfig(
        metadata=cri_pb2.PodSandboxMetadata(
            name=config.name, uid=config.uid, namespace=config.namespace, attempt=config.attempt
        ),
        hostname="" if config.host_network else config.hostname,
        log_directory=config.log_directory,
        dns_config=cri_pb2.DNSConfig(
            servers=config.dns_servers, searches=config.dns_searches, options=config.dns_options
        ),
        port_mappings=[_port(port) for port in config.ports],
        labels=config.labels,
        annotations=config.annotations,
        linux=cri_pb2.LinuxPodSandboxConfig(
            cgroup_parent=cgroup_parent(config.cgroup_parent, systemd=systemd),
            security_context=security,
            sysctls=config.sysctls,
        ),
    )


def container_config(config: runtime.ContainerConfig) -> cri_pb2.ContainerConfig:
    """A container as CRI wants it."""
    limits = config.limits
    security = cri_pb2.LinuxContainerSecurityContext(
        capabilities=cri_pb2.Capability(
            add_capabilities=config.add_capabilities, drop_capabilities=config.drop_capabilities
        ),
        privileged=config.privileged,
        namespace_options=_namespaces(
            host_network=config.host_network,
            host_pid=config.host_pid,
            host_ipc=config.host_ipc,
            share_process_namespace=config.share_process_namespace,
            target_id=config.target_id,
        ),
        run_as_user=_maybe(config.run_as_user),
        run_as_username=config.run_as_username,
        run_as_group=_maybe(config.run_as_group),
        supplemental_groups=config.supplemental_groups,
        readonly_rootfs=config.readonly_rootfs,
        no_new_privs=config.no_new_privileges,
        masked_paths=[] if config.privileged else _MASKED,
        readonly_paths=[] if config.privileged else _READONLY,
        seccomp=_seccomp(privileged=config.privileged),
    )
    return cri_pb2.ContainerConfig(
        metadata=cri_pb2.ContainerMetadata(name=config.name, attempt=config.attempt),
        image=cri_pb2.ImageSpec(image=config.image),
        command=config.command,
        args=config.args,
        working_dir=config.working_dir,
        envs=[cri_pb2.KeyValue(key=key, value=value) for key, value in config.env.items()],
        mounts=[
            cri_pb2.Mount(container_path=one.container_path, host_path=one.host_path, readonly=one.readonly)
            for one in config.mounts
        ],
        labels=config.labels,
        annotations=config.annotations,
        log_path=config.log_path,
        stdin=config.stdin,
        stdin_once=config.stdin_once,
        tty=config.tty,
        linux=cri_pb2.LinuxContainerConfig(
            resources=cri_pb2.LinuxContainerResources(
                cpu_period=limits.cpu_period,
                cpu_quota=limits.cpu_quota,
                cpu_shares=limits.cpu_shares,
                memory_limit_in_bytes=limits.memory,
                oom_score_adj=limits.oom_score_adj,
            ),
            security_context=security,
        ),
    )


def sandbox(one: cri_pb2.PodSandbox) -> runtime.Sandbox:
    """A sandbox of a list."""
    return runtime.Sandbox(
        id=one.id,
        name=one.metadata.name,
        namespace=one.metadata.namespace,
        uid=one.metadata.uid,
        attempt=one.metadata.attempt,
        ready=one.state == cri_pb2.SANDBOX_READY,
        created_at=one.created_at,
        labels=_plain(one.labels),
        annotations=_plain(one.annotations),
    )


def sandbox_status(one: cri_pb2.PodSandboxStatus) -> runtime.SandboxStatus:
    """A sandbox with its address."""
    return runtime.SandboxStatus(
        id=one.id,
        name=one.metadata.name,
        namespace=one.metadata.namespace,
        uid=one.metadata.uid,
        attempt=one.metadata.attempt,
        ready=one.state == cri_pb2.SANDBOX_READY,
        created_at=one.created_at,
        labels=_plain(one.labels),
        annotations=_plain(one.annotations),
        ip=one.network.ip,
    )


def container(one: cri_pb2.Container) -> runtime.Container:
    """A container of a list."""
    return runtime.Container(
        id=one.id,
        sandbox_id=one.pod_sandbox_id,
        name=one.metadata.name,
        attempt=one.metadata.attempt,
        image=one.image.image,
        image_ref=one.image_ref,
        state=_STATES[one.state],
        created_at=one.created_at,
        labels=_plain(one.labels),
        annotations=_plain(one.annotations),
    )


def container_status(one: cri_pb2.ContainerStatus, *, sandbox_id: str) -> runtime.ContainerStatus:
    """A container and what became of it; CRI does not repeat the sandbox here."""
    return runtime.ContainerStatus(
        id=one.id,
        sandbox_id=sandbox_id,
        name=one.metadata.name,
        attempt=one.metadata.attempt,
        image=one.image.image,
        image_ref=one.image_ref,
        state=_STATES[one.state],
        created_at=one.created_at,
        labels=_plain(one.labels),
        annotations=_plain(one.annotations),
        started_at=one.started_at,
        finished_at=one.finished_at,
        exit_code=one.exit_code,
        reason=one.reason,
        message=one.message,
        log_path=one.log_path,
    )


def stats(one: cri_pb2.ContainerStats) -> runtime.Stats:
    """A container's use."""
    return runtime.Stats(
        id=one.attributes.id,
        timestamp=one.cpu.timestamp,
        cpu_ns=one.cpu.usage_core_nano_seconds.value,
        memory_working_set=one.memory.working_set_bytes.value,
        writable_bytes=one.writable_layer.used_bytes.value,
    )


def image(one: cri_pb2.Image) -> runtime.Image:
    """An image; `user` is its number or its name."""
    return runtime.Image(
        id=one.id,
        tags=list(one.repo_tags),
        digests=list(one.repo_digests),
        size=one.size,
        user=str(one.uid.value) if one.HasField("uid") else one.username,
        pinned=one.pinned,
    )


def _namespaces(
    *, host_network: bool, host_pid: bool, host_ipc: bool, share_process_namespace: bool, target_id: str = ""
) -> cri_pb2.NamespaceOption:
    shared = cri_pb2.POD if share_process_namespace else cri_pb2.CONTAINER
    own = cri_pb2.NODE if host_pid else shared
    return cri_pb2.NamespaceOption(
        network=cri_pb2.NODE if host_network else cri_pb2.POD,
        pid=cri_pb2.TARGET if target_id else own,
        ipc=cri_pb2.NODE if host_ipc else cri_pb2.POD,
        target_id=target_id,
    )


def _seccomp(*, privileged: bool) -> cri_pb2.SecurityProfile:
    profile = cri_pb2.SecurityProfile
    return profile(profile_type=profile.Unconfined if privileged else profile.RuntimeDefault)


def _port(port: runtime.PortMapping) -> cri_pb2.PortMapping:
    protocol = _PROTOCOLS.get(port.protocol)
    if protocol is None:
        raise runtime.RuntimeFault(f"cannot map port {port.container_port}: {port.protocol!r} is not TCP, UDP or SCTP")
    return cri_pb2.PortMapping(
        protocol=protocol,
        container_port=port.container_port,
        host_port=port.host_port,
        host_ip=port.host_ip,
    )


def _maybe(value: int | None) -> cri_pb2.Int64Value | None:
    return None if value is None else cri_pb2.Int64Value(value=value)


def _plain(texts: Mapping[str, str]) -> dict[str, str]:
    return dict(texts)
