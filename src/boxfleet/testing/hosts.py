"""Several hosts under one Boxfleet, each a network namespace with its own agent, containerd, dnsmasq and state.

The first host runs the server. All hang on a switch, a bridge in a namespace of its own; names are random, so any
number of beds run side by side. A host's mounts lie in a mount namespace that a process of the host holds: when all
of its processes are killed, nothing of it is left but its disk, as when its plug is pulled.
"""

import contextlib
import json
import os
import pathlib
import secrets
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from typing import Any

from boxfleet.kit import cgroup, daemon
from boxfleet.testing import fleet, tools

_SPACES = pathlib.Path("/run/netns")
_PORT = 7443
# A machine that is busy with other things shall not make hosts look lost.
_FIRST = ("nice", "-n", "-10")
# Where the host keeps mounts and notes that every host has for itself.
_PRIVATE = ("/var/lib/cni", "/run/netns")


class Host:
    """One host of a bed."""

    def __init__(self, bed: "Bed", number: int) -> None:
        self._bed = bed
        self.number = number
        self.node = f"h{number}"
        self.space = f"{bed.name}-{number}"
        self.address = f"192.0.2.{10 + number}"
        self.folder = bed.folder / str(number)
        self.cgroup = f"/{self.space}"
        self.holder: subprocess.Popen[bytes] | None = None

    @property
    def folders(self) -> list[str]:
        """The options that name its state."""
        return ["--state", f"{self.folder}/s", "--run", f"{self.folder}/r"]

    @property
    def kubeconfig(self) -> pathlib.Path:
        """The administrator's, on the server's host."""
        return self.folder / "s" / "credentials" / "admin.kubeconfig"

    def connect(self) -> None:
        """Make its namespace and plug it in."""
        self.folder.mkdir(exist_ok=True)
        switch, port = self._bed.switch, f"p{self.number}"
        _command("ip", "netns", "add", self.space)
        _command("ip", "-n", self.space, "link", "set", "lo", "up")
        _command(*daemon.inside(_SPACES / self.space), "sysctl", "-qw", "net.ipv4.ip_forward=0")
        _command("ip", "-n", self.space, "link", "add", "up0", "type", "veth", "peer", port, "netns", switch)
        _command("ip", "-n", switch, "link", "set", port, "master", "sw0", "up")
        _command("ip", "-n", self.space, "address", "add", f"{self.address}/24", "dev", "up0")
        _command("ip", "-n", self.space, "link", "set", "up0", "up")
        _command("ip", "-n", self.space, "route", "add", "default", "via", "192.0.2.1")

    def power_on(self) -> None:
        """Have the mount namespace that its processes live in."""
        mounts = " && ".join(f"mount -t tmpfs none {place}" for place in _PRIVATE)
        script = f"mkdir -p {' '.join(_PRIVATE)} && {mounts} && touch {self.folder}/on && exec sleep infinity"
        self.folder.joinpath("on").unlink(missing_ok=True)
        self.holder = subprocess.Popen(
            [*daemon.inside(_SPACES / self.space), "unshare", "--mount", "sh", "-c", script],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
        )
        fleet.eventually(self.folder.joinpath("on").exists, within=20, what=f"{self.node} is on")

    def run(self, *words: str, stdin: str = "", check: bool = True, timeout: float = 240) -> str:
        """What a command on this host says; raises AssertionError when it fails."""
        assert self.holder is not None, f"{self.node} is off"
        done = subprocess.run(
            [*_FIRST, "nsenter", "--target", str(self.holder.pid), "--mount", "--net", *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, "PATH": f"{fleet.REPOSITORY}/.venv/bin:{os.environ['PATH']}"},
            cwd="/",
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{shlex.join(words)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout + (done.stderr if not check else "")

    def boxfleet(self, *words: str, check: bool = True, stdin: str = "") -> str:
        """The command, with this host's folders."""
        return self.run("boxfleet", *words, *self.folders, check=check, stdin=stdin)

    def serve(self) -> None:
        """Start the server here."""
        names = ["--listen", self.address, "--port", str(_PORT), "--node", self.node, "--cgroup-parent", self.cgroup]
        self.boxfleet("up", *names, "--cidr", self._bed.cidr, "--bridge", self._bed.bridge)
        self.load()

    def join(self, line: str) -> float:
        """Run the line that the server printed, as a shell does; seconds that it took."""
        began = time.monotonic()
        more = shlex.join([*self.folders, "--node", self.node, "--cgroup-parent", self.cgroup])
        self.run("sh", "-c", f"{line.strip()} {more}")
        took = time.monotonic() - began
        self.load()
        return took

    def load(self) -> None:
        """Have the image of `tools`."""
        archive = self.folder / "tools.tar"
        archive.write_bytes(tools.archive())
        socket = self.folder / "r" / "containerd.sock"
        _command("ctr", "--address", str(socket), "--namespace", "k8s.io", "images", "import", str(archive))

    def cut(self) -> None:
        """Pull its network cable."""
        _command("ip", "-n", self._bed.switch, "link", "set", f"p{self.number}", "down")

    def mend(self) -> None:
        """Plug it in again."""
        _command("ip", "-n", self._bed.switch, "link", "set", f"p{self.number}", "up")

    def process(self, role: str) -> int:
        """The pid of its `server` or `agent`."""
        return int(self.folder.joinpath("r", f"{role}.lock").read_text().split()[0])

    def kill(self) -> None:
        """Pull its plug: every process ends at once, and what lay in memory is gone."""
        while pids := self._processes():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if self.holder is not None:
                self.holder.wait()
            time.sleep(0.02)
        self.holder = None
        shutil.rmtree(self.folder / "r", ignore_errors=True)
        self._forget_notes()
        _command("ip", "netns", "delete", self.space)

    def revive(self) -> None:
        """Power is back: a new boot, with the disk that there was."""
        self.connect()
        self.power_on()
        self.boxfleet("up")

    def instances(self) -> dict[str, list[int]]:
        """What of instances runs here, as the kernel sees it: process ids by its name."""
        found: dict[str, list[int]] = {}
        for pid in self._instance_processes():
            with contextlib.suppress(OSError):
                if name := _instance(pathlib.Path(f"/proc/{pid}")):
                    found.setdefault(name, []).append(pid)
        return found

    def purge(self) -> None:
        """Take everything away."""
        if self.holder is not None:
            self.boxfleet("down", "--purge", check=False)
            self.kill()
        for place in cgroup.below(cgroup.ROOT):
            if place.name == self.space:
                for one in sorted([place, *cgroup.below(place)], key=lambda path: -len(path.parts)):
                    with contextlib.suppress(OSError):
                        one.rmdir()

    def _processes(self) -> list[int]:
        """Everything that lives on this host: in its network, or in its instances' cgroups."""
        space = (_SPACES / self.space).stat().st_ino if (_SPACES / self.space).exists() else -1
        found = set(self._instance_processes())
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if path.joinpath("ns", "net").stat().st_ino == space and _is_alive(path):
                    found.add(int(path.name))
        return sorted(found)

    def _instance_processes(self) -> list[int]:
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"/{self.space}/" in path.joinpath("cgroup").read_text() and _is_alive(path):
                    found.append(int(path.name))
        return found

    def _forget_notes(self) -> None:
        """What a reboot would forget, and what lies outside of the folder here."""
        path = _SPACES / self.space
        if path.exists():
            pathlib.Path(f"/run/boxfleet-host-{path.stat().st_ino}.json").unlink(missing_ok=True)


class Bed:
    """The switch and its hosts."""

    def __init__(self, hosts: int = 3) -> None:
        self.name = f"bfm{secrets.token_hex(3)}"
        self.folder = pathlib.Path(tempfile.gettempdir(), self.name)
        self.switch = f"{self.name}-sw"
        self.cidr, self.bridge = "198.18.0.0/24", "bfmany0"
        self.hosts = [Host(self, number) for number in range(hosts)]

    @property
    def server(self) -> Host:
        """The host with the server."""
        return self.hosts[0]

    def start(self) -> list[float]:
        """Start the server, and have the others join; seconds that each took for it."""
        self.folder.mkdir()
        # Nor shall its disk.
        _command("mount", "-t", "tmpfs", "-o", "mode=0755", "none", str(self.folder))
        _command("ip", "netns", "add", self.switch)
        _command("ip", "-n", self.switch, "link", "add", "sw0", "type", "bridge")
        _command("ip", "-n", self.switch, "address", "add", "192.0.2.1/24", "dev", "sw0")
        _command("ip", "-n", self.switch, "link", "set", "sw0", "up")
        for one in self.hosts:
            one.connect()
            one.power_on()
        self.server.serve()
        return [one.join(self.server.boxfleet("node", "token")) for one in self.hosts[1:]]

    def stop(self) -> None:
        """Take everything away."""
        for one in reversed(self.hosts):
            if one.folder.exists():
                one.purge()
        for space in (*(one.space for one in self.hosts), self.switch):
            if (_SPACES / space).exists():
                _command("ip", "netns", "delete", space)
        if self.folder.is_mount():
            _command("umount", "--lazy", str(self.folder))
        shutil.rmtree(self.folder, ignore_errors=True)

    def kubectl(self, *words: str, stdin: str = "", check: bool = True) -> str:
        """kubectl as the administrator, on the server's host."""
        named = ["kubectl", "--kubeconfig", str(self.server.kubeconfig), *words]
        return self.server.run(*named, stdin=stdin, check=check)

    def get(self, *words: str) -> Any:
        """`kubectl get WORDS -o json`, read."""
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    def everywhere(self) -> dict[str, list[str]]:
        """Where instances run, as the kernel sees it: hosts by the instance's name."""
        found: dict[str, set[str]] = {}
        places = {f"/{one.space}/": one.node for one in self.hosts}
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                groups = path.joinpath("cgroup").read_text()
                node = next((node for place, node in places.items() if place in groups), "")
                if node and (name := _instance(path)):
                    found.setdefault(name, set()).add(node)
        return {name: sorted(nodes) for name, nodes in found.items()}


def _instance(path: pathlib.Path) -> str:
    """The instance that a process is of, by the name that containers have for themselves; empty for its sandbox."""
    words = path.joinpath("environ").read_bytes().decode(errors="replace").split("\0")
    name = next((word.partition("=")[2] for word in words if word.startswith("HOSTNAME=")), "")
    return name if name and _is_alive(path) else ""


def _is_alive(path: pathlib.Path) -> bool:
    return path.joinpath("stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")


def _command(*words: str) -> str:
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{shlex.join(words)} ended with {done.returncode}: {done.stderr}")
    return done.stdout
