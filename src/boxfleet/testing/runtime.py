"""A container runtime and its images in memory, with the manners of the real one.

Processes are imagined: `sh -c 'exit N'` ends at once with N, anything else runs until it is stopped, or until
the test calls `MemoryRuntime.end`. Give `behave` and `answer` for other manners.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence

from boxfleet.kit import clock
from boxfleet.ports import runtime

_EXIT = re.compile(r"exit (\d+)$")


def imagined_exit(command: Sequence[str]) -> int | None:
    """The exit code of `sh -c '... exit N'`; None for a command that goes on."""
    match = _EXIT.search(command[-1]) if command else None
    return int(match.group(1)) if match else None


def imagined_answer(command: Sequence[str]) -> runtime.ExecResult:
    """What an imagined command says: `echo` its words, `sh -c 'exit N'` its code, all others succeed in silence."""
    if command and command[0].rpartition("/")[2] == "echo":
        return runtime.ExecResult(exit_code=0, stdout=(" ".join(command[1:]) + "\n").encode())
    return runtime.ExecResult(exit_code=imagined_exit(command) or 0)


class MemorySession:
    """A session whose output is known from the start; remembers what it was sent."""

    def __init__(self, result: runtime.ExecResult) -> None:
        self._result = result
        self.received = b""
        self.stdin_closed = False
        self.sizes: list[tuple[int, int]] = []
        self.closed = False

    async def send_stdin(self, data: bytes) -> None:
        """Remember the data in `received`."""
        self.received += data

    async def close_stdin(self) -> None:
        """Remember the end of input."""
        self.stdin_closed = True

    async def resize(self, *, width: int, height: int) -> None:
        """Remember the size in `sizes`."""
        self.sizes.append((width, height))

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """Yield what the command says, then end."""
        if self._result.stdout:
            yield 1, self._result.stdout
        if self._result.stderr:
            yield 2, self._result.stderr

    async def exit_code(self) -> int:
        """The known exit code."""
        return self._result.exit_code

    async def close(self) -> None:
        """Remember it in `closed`."""
        self.closed = True


class MemoryImages:
    """Images that are merely names. `registry` holds what `pull` may find, `archives` what `load` may."""

    def __init__(self, references: Sequence[str] = ()) -> None:
        self.images: dict[str, runtime.Image] = {}
        self.registry: set[str] = set()
        self.archives: dict[str, list[str]] = {}
        self.capacity = 10 * 2**30
        for reference in references:
            self.add(reference)

    def add(self, reference: str, *, size: int = 2**20, user: str = "") -> runtime.Image:
        """Have an image as if it had been pulled."""
        image = runtime.Image(id=f"sha256:{reference.encode().hex():0<64.64}", tags=[reference], size=size, user=user)
        self.images[reference] = image
        return image

    async def find(self, reference: str) -> runtime.Image | None:
        """The image by its name or id."""
        by_id = (image for image in self.images.values() if image.id == reference)
        return self.images.get(reference) or next(by_id, None)

    async def list(self) -> Sequence[runtime.Image]:
        """All images."""
        return list(self.images.values())

    async def pull(self, reference: str, *, username: str = "", password: str = "") -> str:
        """Take the image from `registry`; NotFound when it is not there."""
        if reference not in self.registry:
            raise runtime.NotFound(f"cannot pull {reference}: the registry does not have it")
        return self.add(reference).id

    async def remove(self, reference: str) -> None:
        """Forget the image."""
        for name, image in list(self.images.items()):
            if reference in (name, image.id):
                del self.images[name]

    async def load(self, archive: str) -> Sequence[str]:
        """Take in the names that `archives` lists for that path."""
        if archive not in self.archives:
            raise runtime.RuntimeFault(f"cannot load {archive}: no such archive")
        for reference in self.archives[archive]:
            self.add(reference)
        return self.archives[archive]

    async def usage(self) -> tuple[int, int]:
        """The sum of the sizes, and `capacity`."""
        return sum(image.size for image in self.images.values()), self.capacity


class MemoryRuntime:
    """Sandboxes and containers that are merely records.

    Set `down` to make every call raise Unavailable; put an exception into `failures` under a method's name to
    make its next call raise it. `calls` lists the changing calls in order, as (method, id or name).
    """

    def __init__(
        self,
        images: MemoryImages,
        *,
        clock: clock.Clock = clock.SystemClock(),  # noqa: B008  # it has no state
        address: Callable[[runtime.SandboxConfig], str] | None = None,
        behave: Callable[[runtime.ContainerConfig], int | None] | None = None,
        answer: Callable[[Sequence[str]], runtime.ExecResult] = imagined_answer,
    ) -> None:
        self._images = images
        self._clock = clock
        self._address = address or self._next_address
        self._behave = behave or (lambda config: imagined_exit([*config.command, *config.args]))
        self._answer = answer
        self._serial = 0
        self._listeners: set[asyncio.Queue[runtime.RuntimeEvent]] = set()
        self.down = False
        self.network_fault = ""
        self.failures: dict[str, Exception] = {}
        self.calls: list[tuple[str, str]] = []
        self.sandboxes: dict[str, runtime.SandboxStatus] = {}
        self.sandbox_configs: dict[str, runtime.SandboxConfig] = {}
        self.containers: dict[str, runtime.ContainerStatus] = {}
        self.container_configs: dict[str, runtime.ContainerConfig] = {}
        self.sessions: list[MemorySession] = []
        # Bytes of memory and of disk that each container of a sandbox uses, by the sandbox' name.
        self.uses: dict[str, tuple[int, int]] = {}

    # What a test does to the imagined machine.

    def end(self, container_id: str, *, exit_code: int, reason: str = "", message: str = "") -> None:
        """Let a running container's main process end."""
        container = self.containers[container_id]
        container.state = runtime.State.EXITED
        container.finished_at = self._nanoseconds()
        container.exit_code = exit_code
        container.reason = reason or ("Completed" if exit_code == 0 else "Error")
        container.message = message
        if reason == "OOMKilled":
            self._tell(runtime.EventKind.OOM, container_id)
        self._tell(runtime.EventKind.EXITED, container_id)

    def kill_sandbox(self, sandbox_id: str) -> None:
        """Let a sandbox die with all in it, as when the machine restarts."""
        self._stop_all_in(sandbox_id)
        self.sandboxes[sandbox_id].ready = False
        self._tell(runtime.EventKind.EXITED, sandbox_id)

    def reconnect(self) -> None:
        """Tell all listeners that something unnamed changed."""
        self._tell(runtime.EventKind.RESYNC, "")

    # The port.

    async def version(self) -> str:
        """A name that no engine has."""
        self._enter("version")
        return "memory://1"

    async def network_ready(self) -> str:
        """Whatever `network_fault` says."""
        self._enter("network_ready")
        return self.network_fault

    async def run_sandbox(self, config: runtime.SandboxConfig) -> str:
        """Record a sandbox; refuses a second one with the same (name, namespace, uid, attempt)."""
        self._enter("run_sandbox", config.name)
        for other in self.sandboxes.values():
            if (other.name, other.namespace, other.uid, other.attempt) == (
                config.name,
                config.namespace,
                config.uid,
                config.attempt,
            ):
                raise runtime.RuntimeFault(f"cannot run sandbox {config.name}: its name is reserved for {other.id}")
        sandbox_id = self._new_id()
        self.sandbox_configs[sandbox_id] = config
        self.sandboxes[sandbox_id] = runtime.SandboxStatus(
            id=sandbox_id,
            name=config.name,
            namespace=config.namespace,
            uid=config.uid,
            attempt=config.attempt,
            ready=True,
            created_at=self._nanoseconds(),
            labels=dict(config.labels),
            annotations=dict(config.annotations),
            ip="" if config.host_network else self._address(config),
        )
        return sandbox_id

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """Stop all in it; harmless when repeated."""
        self._enter("stop_sandbox", sandbox_id)
        if sandbox_id in self.sandboxes and self.sandboxes[sandbox_id].ready:
            self.kill_sandbox(sandbox_id)
        if sandbox_id in self.sandboxes:
            self.sandboxes[sandbox_id].ip = ""

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Forget it and its containers."""
        self._enter("remove_sandbox", sandbox_id)
        if sandbox_id not in self.sandboxes:
            return
        if self.sandboxes[sandbox_id].ready:
            self.kill_sandbox(sandbox_id)
        for container in [one for one in self.containers.values() if one.sandbox_id == sandbox_id]:
            del self.containers[container.id]
            del self.container_configs[container.id]
        del self.sandboxes[sandbox_id]
        del self.sandbox_configs[sandbox_id]

    async def list_sandboxes(self) -> list[runtime.Sandbox]:
        """All of them."""
        self._enter("list_sandboxes")
        return [
            runtime.Sandbox(
                id=one.id,
                name=one.name,
                namespace=one.namespace,
                uid=one.uid,
                attempt=one.attempt,
                ready=one.ready,
                created_at=one.created_at,
                labels=dict(one.labels),
                annotations=dict(one.annotations),
            )
            for one in self.sandboxes.values()
        ]

    async def sandbox_status(self, sandbox_id: str) -> runtime.SandboxStatus:
        """One of them."""
        self._enter("sandbox_status")
        if sandbox_id not in self.sandboxes:
            raise runtime.NotFound(f"there is no sandbox {sandbox_id}")
        return self.sandboxes[sandbox_id]

    async def create_container(
        self, sandbox_id: str, config: runtime.ContainerConfig, sandbox: runtime.SandboxConfig
    ) -> str:
        """Record a container; its image must be there and its (name, attempt) unused by the instance."""
        self._enter("create_container", config.name)
        if sandbox_id not in self.sandboxes:
            raise runtime.NotFound(f"cannot create container {config.name}: there is no sandbox {sandbox_id}")
        if not self.sandboxes[sandbox_id].ready:
            raise runtime.RuntimeFault(f"cannot create container {config.name}: sandbox {sandbox_id} is not running")
        image = await self._images.find(config.image)
        if image is None:
            raise runtime.NotFound(f"cannot create container {config.name}: there is no image {config.image}")
        if config.target_id:
            target = self._container(config.target_id)
            if target.sandbox_id != sandbox_id or target.state is not runtime.State.RUNNING:
                raise runtime.RuntimeFault(
                    f"cannot create container {config.name}: target {target.id} does not run in its sandbox"
                )
        owner = self.sandboxes[sandbox_id]
        for other in self.containers.values():
            # By the instance, not by the sandbox: an ended container of an older sandbox keeps its name, too.
            there = self.sandboxes[other.sandbox_id]
            if (there.name, there.namespace, there.uid) == (owner.name, owner.namespace, owner.uid) and (
                other.name,
                other.attempt,
            ) == (config.name, config.attempt):
                raise runtime.RuntimeFault(
                    f"cannot create container {config.name}: its name is reserved for {other.id}"
                )
        container_id = self._new_id()
        self.container_configs[container_id] = config
        self.containers[container_id] = runtime.ContainerStatus(
            id=container_id,
            sandbox_id=sandbox_id,
            name=config.name,
            attempt=config.attempt,
            image=config.image,
            image_ref=image.id,
            state=runtime.State.CREATED,
            created_at=self._nanoseconds(),
            labels=dict(config.labels),
            annotations=dict(config.annotations),
            log_path=f"{sandbox.log_directory}/{config.log_path}" if config.log_path else "",
        )
        return container_id

    async def start_container(self, container_id: str) -> None:
        """Let it run, or end at once, as `behave` says."""
        self._enter("start_container", container_id)
        container = self._container(container_id)
        if container.state is not runtime.State.CREATED:
            raise runtime.RuntimeFault(f"cannot start container {container_id}: it is {container.state}")
        container.state = runtime.State.RUNNING
        container.started_at = self._nanoseconds()
        exit_code = self._behave(self.container_configs[container_id])
        if exit_code is not None:
            self.end(container_id, exit_code=exit_code)

    async def stop_container(self, container_id: str, *, grace_seconds: int) -> None:
        """End it with the code of SIGTERM, or of SIGKILL without grace; harmless when it has ended or is gone."""
        self._enter("stop_container", container_id)
        container = self.containers.get(container_id)
        if container is not None and container.state is runtime.State.RUNNING:
            self.end(container_id, exit_code=143 if grace_seconds > 0 else 137)

    async def remove_container(self, container_id: str) -> None:
        """Forget it; a running one ends first."""
        self._enter("remove_container", container_id)
        container = self.containers.get(container_id)
        if container is None:
            return
        if container.state is runtime.State.RUNNING:
            self.end(container_id, exit_code=137)
        del self.containers[container_id]
        del self.container_configs[container_id]

    async def list_containers(self) -> list[runtime.Container]:
        """All of them."""
        self._enter("list_containers")
        return [
            runtime.Container(
                id=one.id,
                sandbox_id=one.sandbox_id,
                name=one.name,
                attempt=one.attempt,
                image=one.image,
                image_ref=one.image_ref,
                state=one.state,
                created_at=one.created_at,
                labels=dict(one.labels),
                annotations=dict(one.annotations),
            )
            for one in self.containers.values()
        ]

    async def container_status(self, container_id: str) -> runtime.ContainerStatus:
        """One of them."""
        self._enter("container_status")
        return self._container(container_id)

    async def exec_sync(self, container_id: str, command: list[str], *, timeout: float) -> runtime.ExecResult:
        """Whatever `answer` says."""
        self._enter("exec_sync", container_id)
        self._running(container_id)
        return self._answer(command)

    async def exec(
        self, container_id: str, command: list[str], *, stdin: bool, tty: bool, stderr: bool = True
    ) -> runtime.Session:
        """A session that says what `answer` says."""
        self._enter("exec", container_id)
        self._running(container_id)
        return self._session(self._answer(command))

    async def attach(self, container_id: str, *, stdin: bool, tty: bool) -> runtime.Session:
        """A session in silence."""
        self._enter("attach", container_id)
        self._running(container_id)
        return self._session(runtime.ExecResult(exit_code=0))

    async def reopen_log(self, container_id: str) -> None:
        """Nothing but the check that it runs."""
        self._enter("reopen_log", container_id)
        self._running(container_id)

    async def stats(self) -> list[runtime.Stats]:
        """A fixed use for every running container, unless `uses` says another."""
        self._enter("stats")
        found = []
        for one in self.containers.values():
            if one.state is runtime.State.RUNNING:
                memory, disk = self.uses.get(self.sandboxes[one.sandbox_id].name, (2**20, 4096))
                found.append(
                    runtime.Stats(
                        id=one.id,
                        timestamp=self._nanoseconds(),
                        cpu_ns=1_000_000,
                        memory_working_set=memory,
                        writable_bytes=disk,
                    )
                )
        return found

    async def events(self) -> AsyncIterator[runtime.RuntimeEvent]:
        """RESYNC, then hints as they happen."""
        queue: asyncio.Queue[runtime.RuntimeEvent] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            yield runtime.RuntimeEvent(kind=runtime.EventKind.RESYNC)
            while True:
                yield await queue.get()
        finally:
            self._listeners.discard(queue)

    def _enter(self, method: str, subject: str = "") -> None:
        if self.down:
            raise runtime.Unavailable("the runtime is down")
        if subject:
            self.calls.append((method, subject))
        failure = self.failures.pop(method, None)
        if failure is not None:
            raise failure

    def _container(self, container_id: str) -> runtime.ContainerStatus:
        if container_id not in self.containers:
            raise runtime.NotFound(f"there is no container {container_id}")
        return self.containers[container_id]

    def _running(self, container_id: str) -> None:
        state = self._container(container_id).state
        if state is not runtime.State.RUNNING:
            raise runtime.RuntimeFault(f"container {container_id} is {state}, not running")

    def _stop_all_in(self, sandbox_id: str) -> None:
        for container in self.containers.values():
            if container.sandbox_id == sandbox_id and container.state is runtime.State.RUNNING:
                self.end(container.id, exit_code=137)

    def _session(self, result: runtime.ExecResult) -> MemorySession:
        session = MemorySession(result)
        self.sessions.append(session)
        return session

    def _tell(self, kind: runtime.EventKind, container_id: str) -> None:
        for queue in self._listeners:
            queue.put_nowait(runtime.RuntimeEvent(kind=kind, container_id=container_id))

    def _nanoseconds(self) -> int:
        return int(self._clock.now().timestamp() * 1e9)

    def _new_id(self) -> str:
        self._serial += 1
        return f"{self._serial:064x}"

    def _next_address(self, config: runtime.SandboxConfig) -> str:
        return f"10.88.{(self._serial + 1) // 250}.{(self._serial + 1) % 250 + 2}"


def _conforms(images: MemoryImages, engine: MemoryRuntime) -> tuple[runtime.Images, runtime.Runtime, runtime.Session]:
    """Let the type checker prove that the stand-ins fit their ports."""
    return images, engine, MemorySession(runtime.ExecResult(exit_code=0))
