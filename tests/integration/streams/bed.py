"""kubectl, the API server on a TLS socket, the tunnel, and containers of a real containerd on the host's network."""

import asyncio
import contextlib
import dataclasses
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator

import pytest

from boxfleet.agent.node import cgroups
from boxfleet.agent.streams import tunnel
from boxfleet.api import pod as pods
from boxfleet.apiserver import serve
from boxfleet.drivers.containerd import config, daemon, oci
from boxfleet.ports import runtime
from boxfleet.store import where
from boxfleet.testing import server
from boxfleet.testing.kubernetes import programs

IMAGE = "boxfleet.local/streams-test:1"
CGROUP = "/bf-streams"
# Today's kubectl and an old one. Streams go a third way as well: today's told to do as it did before 1.30.
SPDY = "spdy"
VERSIONS = [
    "kubectl",
    pytest.param(
        programs.VERSION,
        marks=[
            pytest.mark.kubernetes("kubectl"),
            pytest.mark.skipif(bool(programs.lacking()), reason=f"this machine lacks {programs.lacking()}"),
        ],
    ),
]
WAYS = [*VERSIONS, SPDY]
_TOOLS = ("dash", "cat", "sleep", "echo", "head", "dd", "stty", "tar", "sha256sum", "ls", "mkdir", "perl", "seq")
# Answers each connection with a page.
SERVE = """
use IO::Socket::INET;
my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => $ARGV[0], Listen => 16, ReuseAddr => 1) or die;
$| = 1; print "serving\\n";
while (my $c = $s->accept) {
  my $line = <$c>;
  while ($line = <$c>) { last if $line =~ /^\\r?\\n$/ }
  print $c "HTTP/1.1 200 OK\\r\\nContent-Length: 1000000\\r\\nConnection: close\\r\\n\\r\\n" . ("x" x 1000000);
  close $c;
}
"""


def image() -> bytes:
    """An image out of this machine's own tools."""
    files: dict[str, tuple[bytes, int]] = {"tmp/.keep": (b"", 0o666)}
    for tool in _TOOLS:
        path = pathlib.Path(shutil.which(tool) or f"/usr/bin/{tool}")
        files[f"bin/{tool}"] = (path.read_bytes(), 0o755)
        listed = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False).stdout
        for word in listed.split():
            if word.startswith("/"):
                files[word.lstrip("/")] = (pathlib.Path(word).read_bytes(), 0o755)
    files["bin/sh"] = files["bin/dash"]
    for folder in pathlib.Path("/usr/lib").glob("*/perl-base"):
        for path in folder.rglob("*"):
            if path.is_file():
                files[str(path).lstrip("/")] = (path.read_bytes(), 0o644)
    files["etc/passwd"] = (b"root:x:0:0:root:/root:/bin/sh\n", 0o644)
    return oci.archive(files, config={"Env": ["PATH=/bin"], "Cmd": ["/bin/sleep", "100000"]}, name=IMAGE)


@contextlib.asynccontextmanager
async def engine() -> AsyncIterator[daemon.Daemon]:
    """A containerd that leaves nothing behind."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bf-streams-", dir="/tmp"))
    wish = config.Settings.below(
        state=folder / "s",
        run=folder / "r",
        cni_bin=folder / "cni" / "bin",
        cni_conf=folder / "cni" / "conf",
        cgroup_parent=CGROUP,
    )
    for part in (folder / "s" / "logs", folder / "r", wish.cni_bin, wish.cni_conf):
        part.mkdir(parents=True)
    made = daemon.Daemon(wish, told=print)
    try:
        await made.start()
        archive = folder / "image.tar"
        archive.write_bytes(image())
        await made.images.load(str(archive))
        yield made
    finally:
        await made.purge()
        await made.close()
        cgroups.remove(pathlib.Path("/sys/fs/cgroup"), CGROUP)
        shutil.rmtree(folder, ignore_errors=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """How a kubectl ended."""

    code: int
    out: bytes
    err: str


class Bed:
    """Everything together."""

    def __init__(
        self, containerd: daemon.Daemon, folder: pathlib.Path, *, database: where.Postgres | None = None
    ) -> None:
        self.containerd = containerd
        self.database = database
        self.folder = folder
        self.logs = folder / "logs"
        self.api: server.Api
        self.socket: server.Socket
        self._agent: asyncio.Task[None] | None = None
        self._sandboxes: list[str] = []
        self._number = 0
        # Of which version, and with what in its environment besides.
        self.program = "kubectl"
        self.environment: dict[str, str] = {}

    def speaking(self, version: str) -> "Bed":
        """Of VERSIONS or WAYS."""
        if version == SPDY:
            self.environment = {
                "KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false",
                "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false",
            }
        elif version != "kubectl":
            self.program = str(programs.path("kubectl"))
        return self

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as self._server:
            self.api = await self._server.enter_async_context(server.running(self.folder, database=self.database))
            self.socket = await self._server.enter_async_context(server.on_socket(self.api, self.folder))
            yield

    async def restart_server(self) -> None:
        """End the server, and have another one on the same store and port."""
        await self._server.aclose()
        assert not self.api.app.agents.nodes()
        self.api = await self._server.enter_async_context(server.running(self.folder, database=self.database))
        port = int(self.socket.url.rpartition(":")[2])
        certificate, key = self.folder / "pki" / "server.crt", self.folder / "pki" / "server.key"
        await self._server.enter_async_context(
            serve.serving(self.api.app, host="127.0.0.1", port=port, certificate=certificate, key=key)
        )

    def start_agent(self) -> None:
        made = tunnel.Tunnel(
            server=self.socket.url,
            node=server.NODE,
            token=server.NODE_TOKEN,
            tls=ssl.create_default_context(cafile=self.socket.ca_file),
            engine=self.containerd.runtime,
            log_directory=self.logs,
        )
        self._agent = asyncio.create_task(made.run())

    async def stop_agent(self) -> None:
        if self._agent is not None:
            self._agent.cancel()
            await asyncio.gather(self._agent, return_exceptions=True)
            self._agent = None

    async def connected(self) -> None:
        async with asyncio.timeout(30):
            while not self.api.app.agents.nodes():
                await asyncio.sleep(0.005)

    async def pod(self, name: str, *commands: list[str], stdin: bool = False, tty: bool = False) -> str:
        """A running Pod with a container for each command; the id of the last one."""
        names = ["main", "second", "third"][: len(commands)]
        containers = [{"name": one, "image": IMAGE} for one in names]
        spec = {"nodeName": server.NODE, "hostNetwork": True, "containers": containers}
        if stdin:
            spec["containers"][0] |= {"stdin": True, "tty": tty}  # type: ignore[index]
        made = await self.api.admin.create_raw(
            pods.Pod, {"metadata": {"name": name, "namespace": "default"}, "spec": spec}
        )
        await self.api.node.patch(
            pods.Pod, name, {"status": {"phase": "Running"}}, namespace="default", subresource="status"
        )
        sandbox = runtime.SandboxConfig(
            name=name,
            namespace="default",
            uid=made.metadata.uid,
            host_network=True,
            cgroup_parent=CGROUP,
            log_directory=str(self.logs / f"default_{name}_{made.metadata.uid}"),
        )
        sandbox_id = await self.containerd.runtime.run_sandbox(sandbox)
        self._sandboxes.append(sandbox_id)
        container_id = ""
        for container, command in zip(names, commands, strict=True):
            container_id = await self.run(sandbox_id, sandbox, container, command, stdin=stdin, tty=tty)
        self.sandbox = (sandbox_id, sandbox)
        return container_id

    async def run(
        self,
        sandbox_id: str,
        sandbox: runtime.SandboxConfig,
        name: str,
        command: list[str],
        *,
        attempt: int = 0,
        stdin: bool = False,
        tty: bool = False,
    ) -> str:
        """Start a container; its id."""
        pathlib.Path(sandbox.log_directory, name).mkdir(parents=True, exist_ok=True)
        wish = runtime.ContainerConfig(
            name=name,
            image=IMAGE,
            attempt=attempt,
            command=command,
            log_path=f"{name}/{attempt}.log",
            stdin=stdin,
            tty=tty,
            host_network=True,
        )
        container_id = await self.containerd.runtime.create_container(sandbox_id, wish, sandbox)
        await self.containerd.runtime.start_container(container_id)
        return container_id

    async def exited(self, container_id: str) -> None:
        async with asyncio.timeout(10):
            while (await self.containerd.runtime.container_status(container_id)).state is not runtime.State.EXITED:
                await asyncio.sleep(0.01)

    async def start(self, *words: str, stdin: int | None = subprocess.DEVNULL) -> asyncio.subprocess.Process:
        """A kubectl that runs."""
        return await asyncio.create_subprocess_exec(
            self.program,
            "--kubeconfig",
            str(self.socket.kubeconfig),
            f"--cache-dir={self.folder / 'cache'}",
            *words,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            limit=2**20,
            env=os.environ | self.environment,
        )

    async def kubectl(self, *words: str, stdin: bytes | None = None, seconds: float = 30) -> Result:
        """A kubectl to its end."""
        process = await self.start(*words, stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE)
        try:
            async with asyncio.timeout(seconds):
                out, err = await process.communicate(stdin)
        except BaseException:
            process.kill()
            await process.communicate()
            raise
        assert process.returncode is not None
        return Result(code=process.returncode, out=out, err=err.decode())

    async def clear(self) -> None:
        """Remove all sandboxes."""
        for sandbox_id in self._sandboxes:
            await self.containerd.runtime.stop_sandbox(sandbox_id)
            await self.containerd.runtime.remove_sandbox(sandbox_id)
        self._sandboxes.clear()


@contextlib.asynccontextmanager
async def bed(
    containerd: daemon.Daemon, folder: pathlib.Path, *, database: where.Postgres | None = None
) -> AsyncIterator[Bed]:
    """All parts, connected."""
    made = Bed(containerd, folder, database=database)
    async with made.serving():
        made.start_agent()
        try:
            await made.connected()
            yield made
        finally:
            await made.stop_agent()
            await made.clear()


def free_port() -> int:
    """A port of the loopback address that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
