"""The container runtime of a host, in the words of the Kubernetes Container Runtime Interface (CRI v1).

One sandbox per instance holds its network and namespaces; containers live in it. All calls raise
`RuntimeFault`s: `NotFound` for what is not there, `Unavailable` while the engine is down.
"""

import enum
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec


class RuntimeFault(Exception):
    """The runtime refused or failed; the text says what and why."""


class NotFound(RuntimeFault):
    """There is no such sandbox, container or image."""


class Unavailable(RuntimeFault):
    """The runtime does not answer now; trying later may help."""


class State(enum.StrEnum):
    """Where a container is in its life."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"
    UNKNOWN = "unknown"


class PortMapping(msgspec.Struct, frozen=True, kw_only=True):
    """A port of the host that leads into the sandbox."""

    container_port: int
    host_port: int
    protocol: str = "TCP"
    host_ip: str = ""


class SandboxConfig(msgspec.Struct, kw_only=True):
    """An instance's sandbox. Runtimes keep (name, namespace, uid, attempt) unique."""

    name: str
    namespace: str
    uid: str
    attempt: int = 0
    hostname: str = ""
    log_directory: str = ""
    dns_servers: list[str] = []
    dns_searches: list[str] = []
    dns_options: list[str] = []
    ports: list[PortMapping] = []
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    cgroup_parent: str = ""
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    share_process_namespace: bool = False
    sysctls: dict[str, str] = {}
    run_as_user: int | None = None
    run_as_group: int | None = None
    supplemental_groups: list[int] = []
    privileged: bool = False


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """A path of the host in the container."""

    host_path: str
    container_path: str
    readonly: bool = False


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the kernel enforces on a container; zero means no limit.

    cpu_period and cpu_quota in microseconds, cpu_shares in 1/1024 of a core, memory in bytes.
    """

    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_shares: int = 0
    memory: int = 0
    oom_score_adj: int = 0


class ContainerConfig(msgspec.Struct, kw_only=True):
    """One container of an instance. Empty command and args: the image's own.

    `attempt` counts its restarts. (name, attempt) is unique for the instance, not for the sandbox: in a new sandbox
    it counts on, while containers of the old one are still there.
    """

    name: str
    image: str
    attempt: int = 0
    command: list[str] = []
    args: list[str] = []
    working_dir: str = ""
    env: dict[str, str] = {}
    mounts: list[Mount] = []
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    # Below the sandbox's log_directory.
    log_path: str = ""
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    limits: Limits = Limits()
    privileged: bool = False
    run_as_user: int | None = None
    run_as_username: str = ""
    run_as_group: int | None = None
    supplemental_groups: list[int] = []
    readonly_rootfs: bool = False
    no_new_privileges: bool = False
    add_capabilities: list[str] = []
    drop_capabilities: list[str] = []
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    share_process_namespace: bool = False
    # The container of the same sandbox whose processes this one sees and is seen by; before all other choices.
    target_id: str = ""


class Sandbox(msgspec.Struct, kw_only=True):
    """A sandbox as the runtime lists it. Times are nanoseconds since the epoch."""

    id: str
    name: str
    namespace: str
    uid: str
    attempt: int
    ready: bool
    created_at: int
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class SandboxStatus(Sandbox, kw_only=True):
    """A sandbox with its address; empty while it has none or with the host's network."""

    ip: str = ""


class Container(msgspec.Struct, kw_only=True):
    """A container as the runtime lists it."""

    id: str
    sandbox_id: str
    name: str
    attempt: int
    image: str
    image_ref: str
    state: State
    created_at: int
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class ContainerStatus(Container, kw_only=True):
    """A container with what became of it; `reason` is the runtime's own, for example OOMKilled."""

    started_at: int = 0
    finished_at: int = 0
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    log_path: str = ""


def by_age(one: Sandbox | Container) -> tuple[int, int]:
    """Sorts an instance's sandboxes, or its containers of one name, from the oldest to the newest."""
    return (one.attempt, one.created_at)


class Stats(msgspec.Struct, kw_only=True):
    """What a container uses: cumulative CPU nanoseconds, bytes of memory and of its writable layer."""

    id: str
    timestamp: int = 0
    cpu_ns: int = 0
    memory_working_set: int = 0
    writable_bytes: int = 0


class ExecResult(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a command that ran to its end."""

    exit_code: int
    stdout: bytes = b""
    stderr: bytes = b""


class EventKind(enum.StrEnum):
    """What happened to a container or sandbox; of a start the one who asked for it hears."""

    EXITED = "exited"
    OOM = "oom"
    # Something changed that is not named: look at everything.
    RESYNC = "resync"


class RuntimeEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A hint that a container changed; the state is read anew, never taken from the event."""

    kind: EventKind
    container_id: str = ""


class Image(msgspec.Struct, kw_only=True):
    """An image the host has. `size` in bytes."""

    id: str
    tags: list[str] = []
    digests: list[str] = []
    size: int = 0
    user: str = ""
    pinned: bool = False


class Session(Protocol):
    """A running exec or attach: byte streams both ways. Always close it."""

    async def send_stdin(self, data: bytes) -> None:
        """Write to the process; returns when the data is on its way (back-pressure)."""

    async def close_stdin(self) -> None:
        """End the process' input."""

    async def resize(self, *, width: int, height: int) -> None:
        """Tell the terminal's new size in characters."""

    def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """Chunks as (1 for stdout or 2 for stderr, data) until the process has ended."""

    async def exit_code(self) -> int:
        """The exit code; only after `output` ended."""

    async def close(self) -> None:
        """Let go of the streams; does not kill the process."""


class Runtime(Protocol):
    """Sandboxes and containers."""

    async def version(self) -> str:
        """Name and version, ``containerd://1.6.20``; raises Unavailable while down."""

    async def network_ready(self) -> str:
        """Empty when sandboxes can get a network, else why not."""

    async def run_sandbox(self, config: SandboxConfig) -> str:
        """Make and start a sandbox with its network; its id."""

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """Stop all in it and free its network; harmless when repeated or when it is gone."""

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Remove it with its containers; harmless when it is gone."""

    async def list_sandboxes(self) -> list[Sandbox]:
        """All sandboxes, also stopped ones."""

    async def sandbox_status(self, sandbox_id: str) -> SandboxStatus:
        """One sandbox with its address."""

    async def create_container(self, sandbox_id: str, config: ContainerConfig, sandbox: SandboxConfig) -> str:
        """Make a container in a sandbox, not started; its id. Give the config the sandbox was made with."""

    async def start_container(self, container_id: str) -> None:
        """Start a created container."""

    async def stop_container(self, container_id: str, *, grace_seconds: int) -> None:
        """SIGTERM (or the image's stop signal), then SIGKILL after the grace; returns when it has ended."""

    async def remove_container(self, container_id: str) -> None:
        """Remove an ended container; harmless when it is gone."""

    async def list_containers(self) -> list[Container]:
        """All containers, also ended ones."""

    async def container_status(self, container_id: str) -> ContainerStatus:
        """One container and what became of it."""

    async def exec_sync(self, container_id: str, command: list[str], *, timeout: float) -> ExecResult:
        """Run a command to its end; raises TimeoutError and kills the command after `timeout` seconds."""

    async def exec(
        self, container_id: str, command: list[str], *, stdin: bool, tty: bool, stderr: bool = True
    ) -> Session:
        """Start a command with streams."""

    async def attach(self, container_id: str, *, stdin: bool, tty: bool) -> Session:
        """Join the streams of the main process."""

    async def reopen_log(self, container_id: str) -> None:
        """Go on in a new log file, after the old one was moved."""

    async def stats(self) -> list[Stats]:
        """Use of all running containers."""

    def events(self) -> AsyncIterator[RuntimeEvent]:
        """Hints as they happen, endless; yields RESYNC after every (re)connection."""


class Images(Protocol):
    """The images of a host."""

    async def find(self, reference: str) -> Image | None:
        """The image if the host has it."""

    async def list(self) -> Sequence[Image]:
        """All images."""

    async def pull(self, reference: str, *, username: str = "", password: str = "") -> str:
        """Fetch from the registry named in the reference; the image's id."""

    async def remove(self, reference: str) -> None:
        """Forget an image; harmless when it is gone."""

    async def load(self, archive: str) -> Sequence[str]:
        """Take in an OCI archive from a local path; the names it brought."""

    async def usage(self) -> tuple[int, int]:
        """Bytes used by images, and bytes of the whole file system that holds them."""
