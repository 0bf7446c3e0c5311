"""A real Docker engine for tests: a dockerd of its own in network and mount namespaces of its own.

Nobody else's containers, networks or images are met, and what it mounts and bridges vanishes with its namespaces.
`Engine.start` and `Engine.stop` are meant for a whole test session; `Engine.inside` lets a test speak from where the
engine's networks are, as a Boxfleet on the engine's own machine does.
"""

import asyncio
import contextlib
import functools
import hashlib
import io
import json
import os
import pathlib
import platform
import secrets
import shutil
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Self

from pyroute2 import netns

from boxfleet.kit import daemon
from boxfleet.testing import certificates, tools

# Seconds for the daemon to start or end, on a busy machine.
_PATIENCE = 60.0
TLS_PORT = 2376
# Of the range for documentation; no Swarm lives on a loopback address.
_SWARM_ADDRESS = "192.0.2.77"
_JOINED_ADDRESS = "192.0.2.78"


class Engine:
    """One dockerd. Nothing exists before `start`."""

    def __init__(self, *, tls: bool = False) -> None:
        self.name = f"bf-dock-{secrets.token_hex(3)}"
        self.folder = pathlib.Path(tempfile.gettempdir(), self.name)
        self.space = pathlib.Path("/run/netns", self.name)
        self.socket = self.folder / "docker.sock"
        self.host = f"unix://{self.socket}"
        self.tls_host = f"tcp://127.0.0.1:{TLS_PORT}"
        # What a client shows, by the names that a Secret for it has.
        self.credentials: dict[str, bytes] = {}
        # Its name in a Swarm.
        self.node_id = ""
        self._tls = tls
        self._pid = self.folder / "dockerd.pid"
        self._log = self.folder / "dockerd.log"

    async def start(self) -> None:
        """Make the namespace, start the daemon and load the image of `tools`."""
        self.folder.mkdir()
        _command("ip", "netns", "add", self.name)
        _command("ip", "-n", self.name, "link", "set", "lo", "up")
        await self.start_daemon()
        await asyncio.to_thread(self.load, tools.IMAGE, tools.files(), tools.CONFIG)

    async def start_daemon(self) -> None:
        """Start the daemon, perhaps again after `stop_daemon`; returns when it answers."""
        arguments = [
            *("unshare", "--mount", "--propagation", "private", "dockerd"),
            f"--config-file={self.folder / 'none.json'}",
            f"--data-root={self.folder / 'data'}",
            f"--exec-root={self.folder / 'exec'}",
            f"--pidfile={self.folder / 'docker.pid'}",
            f"--cgroup-parent=/{self.name}",
            f"--host={self.host}",
            "--exec-opt=native.cgroupdriver=cgroupfs",
            "--storage-driver=overlay2",
            "--oom-score-adjust=0",
            "--shutdown-timeout=1",
        ]
        if self._tls:
            arguments += self._tls_arguments()
        # The flags above are all that counts.
        (self.folder / "none.json").write_text("{}")
        await daemon.start(arguments, pid_file=self._pid, log_file=self._log, network=self.space)
        for _ in range(int(_PATIENCE / 0.05)):
            if self.socket.exists() and self._answers():
                return
            if daemon.find(self._pid) is None:
                break
            await asyncio.sleep(0.05)
        raise AssertionError(f"dockerd does not start:\n{self._log.read_text()[-4000:]}")

    def begin_swarm(self) -> None:
        """Make it the only host of a Swarm."""
        _command("ip", "-n", self.name, "address", "add", f"{_SWARM_ADDRESS}/32", "dev", "lo")
        place = (f"--advertise-addr={_SWARM_ADDRESS}", f"--listen-addr={_SWARM_ADDRESS}:2377")
        self.docker("swarm", "init", *place)
        self.node_id = self.docker("info", "--format", "{{.Swarm.NodeID}}").strip()

    def join(self, manager: "Engine") -> None:
        """Make it a further host of a Swarm, by a line between the two."""
        link, peer = ("ip", "-n", self.name), ("ip", "-n", manager.name)
        _command(*link, "link", "add", "swarm0", "type", "veth", "peer", "swarm0", "netns", manager.name)
        for one in (link, peer):
            _command(*one, "link", "set", "swarm0", "up")
        _command(*link, "address", "add", f"{_JOINED_ADDRESS}/24", "dev", "swarm0")
        _command(*peer, "route", "add", _JOINED_ADDRESS, "dev", "swarm0", "src", _SWARM_ADDRESS)
        token = manager.docker("swarm", "join-token", "--quiet", "worker").strip()
        place = (f"--advertise-addr={_JOINED_ADDRESS}", f"--listen-addr={_JOINED_ADDRESS}:2377")
        self.docker("swarm", "join", "--token", token, *place, f"{_SWARM_ADDRESS}:2377")
        self.node_id = self.docker("info", "--format", "{{.Swarm.NodeID}}").strip()

    async def stop_daemon(self) -> None:
        """Stop the daemon, and with it all containers."""
        await daemon.stop(self._pid, grace=_PATIENCE)

    async def stop(self) -> None:
        """Take everything away."""
        if self._answers():
            ids = self.docker("ps", "-aq").split()
            if ids:
                self.docker("rm", "-f", *ids)
        await self.stop_daemon()
        for process in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process.name), signal.SIGKILL)
        self._remove_cgroups()
        if self.space.exists():
            _command("ip", "netns", "delete", self.name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def leftovers(self) -> list[str]:
        """What `stop` should have taken away, in words."""
        found = [f"mount: {line}" for line in _lines("/proc/self/mountinfo") if str(self.folder) in line]
        found += [f"process: {process}" for process in self._processes()]
        found += [f"cgroup: {folder}" for folder in self._cgroups()]
        found += [f"file: {place}" for place in (self.space, self.folder) if place.exists()]
        return found

    def docker(self, *words: str) -> str:
        """What the docker command prints; raises CalledProcessError when it fails."""
        return _command("docker", "--host", self.host, *words)

    def load(self, reference: str, files: tools.Files, config: Mapping[str, Any]) -> None:
        """Have an image of one layer; `config` is the image configuration's own (Entrypoint, User, ...)."""
        archive = self.folder / "image.tar"
        archive.write_bytes(_image(reference, files, config))
        self.docker("load", "--quiet", "--input", str(archive))
        archive.unlink()

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Within it, this thread and the processes that it starts are in the engine's network."""
        with pathlib.Path("/proc/self/ns/net").open() as before:
            netns.setns(str(self.space))
            try:
                yield
            finally:
                netns.setns(before.fileno())

    def _answers(self) -> bool:
        command = ["docker", "--host", self.host, "version", "--format", "{{.Server.Version}}"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _tls_arguments(self) -> list[str]:
        authority = certificates.Authority.make()
        server = authority.issue("dockerd", addresses=["127.0.0.1"])
        client = authority.issue("boxfleet")
        self.credentials = {
            "ca.crt": authority.certificate_pem,
            "tls.crt": client.certificate_pem,
            "tls.key": client.key_pem,
        }
        own = {"ca": authority.certificate_pem, "cert": server.certificate_pem, "key": server.key_pem}
        for name, content in own.items():
            (self.folder / f"{name}.pem").write_bytes(content)
        return [
            f"--host={self.tls_host}",
            "--tlsverify",
            f"--tlscacert={self.folder / 'ca.pem'}",
            f"--tlscert={self.folder / 'cert.pem'}",
            f"--tlskey={self.folder / 'key.pem'}",
        ]

    def _processes(self) -> list[pathlib.Path]:
        found = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if str(self.folder) in process.joinpath("cmdline").read_bytes().decode(errors="replace"):
                    found.append(process)
        return found

    def _cgroups(self) -> list[pathlib.Path]:
        tops = [*pathlib.Path("/sys/fs/cgroup").glob(f"*/{self.name}"), pathlib.Path("/sys/fs/cgroup", self.name)]
        return [top for top in tops if top.exists()]

    def _remove_cgroups(self) -> None:
        for top in self._cgroups():
            for folder in sorted(top.rglob("*/"), key=lambda one: len(one.parts), reverse=True):
                with contextlib.suppress(OSError):
                    folder.rmdir()
            with contextlib.suppress(OSError):
                top.rmdir()


class Line:
    """A way to an engine that can be cut: a socket that hands on to the engine's own. Enter it on the event loop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._socket = engine.folder / f"line-{secrets.token_hex(3)}.sock"
        self.host = f"unix://{self._socket}"
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    @contextlib.asynccontextmanager
    async def cut(self) -> AsyncIterator[None]:
        """Within it nobody answers, and what was under way is broken off."""
        await self._close()
        try:
            yield
        finally:
            await self._open()

    async def _open(self) -> None:
        self._server = await asyncio.start_unix_server(self._carry, self._socket)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._server = None
            self._socket.unlink(missing_ok=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        try:
            further, back = await asyncio.open_unix_connection(self._engine.socket)
            self._writers.add(back)
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, back))
                group.create_task(_copy(further, writer))
        finally:
            for one in (writer, back):
                one.transport.abort()
                self._writers.discard(one)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


def _image(reference: str, files: tools.Files, config: Mapping[str, Any]) -> bytes:
    """An archive in the form of `docker save`, which engines of every age load."""
    layer = _tar(files)
    configuration = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()],
        "os": "linux",
        "config": dict(config),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"]}]
    parts = {
        "layer.tar": layer,
        "config.json": json.dumps(configuration).encode(),
        "manifest.json": json.dumps(manifest).encode(),
    }
    return _tar({name: (part, 0o644) for name, part in parts.items()})


def _tar(files: tools.Files) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for path, (content, mode) in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return target.getvalue()


def _command(*words: str) -> str:
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(f"{' '.join(words)}: {done.stderr}")
    return done.stdout


def _lines(path: str) -> list[str]:
    return pathlib.Path(path).read_text().splitlines()


@functools.cache
def is_there() -> bool:
    """Whether this machine has a dockerd to start."""
    return shutil.which("dockerd") is not None and shutil.which("docker") is not None
