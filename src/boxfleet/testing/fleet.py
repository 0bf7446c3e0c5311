"""A whole Boxfleet under test: its commands, its kubectl, its processes, and what it leaves behind."""

import dataclasses
import json
import os
import pathlib
import re
import subprocess
import time
from collections.abc import Callable
from typing import Any

from boxfleet.kit import cgroup

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
# Built images are slow to make and the same for every test.
IMAGE_CACHE = pathlib.Path("~/.cache/boxfleet/images").expanduser()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Footprint:
    """What a machine shows of containers and networks; equal before `up` and after `down --purge`."""

    links: frozenset[str]
    mounts: frozenset[str]
    namespaces: frozenset[str]
    cgroups: frozenset[str]
    rules: str
    forwarding: str
    processes: frozenset[str]

    @classmethod
    def take(cls, *, marks: tuple[str, ...]) -> "Footprint":
        """Look at the machine; processes and mounts count when they mention one of `marks`."""
        mounts = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
        spaces = pathlib.Path("/run/netns")
        rules = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
        return cls(
            links=frozenset(path.name for path in pathlib.Path("/sys/class/net").iterdir()),
            mounts=frozenset(line.split()[4] for line in mounts if any(mark in line for mark in marks)),
            namespaces=frozenset(path.name for path in spaces.iterdir()) if spaces.is_dir() else frozenset(),
            cgroups=frozenset(
                str(path) for path in cgroup.below(pathlib.Path("/sys/fs/cgroup")) if path.name.startswith("boxfleet")
            ),
            rules=re.sub(r"counter packets \d+ bytes \d+", "counter", rules),
            forwarding=pathlib.Path("/proc/sys/net/ipv4/ip_forward").read_text(),
            processes=frozenset(f"{pid} {line}" for pid, line in processes(marks=marks)),
        )


def processes(*, marks: tuple[str, ...]) -> list[tuple[int, str]]:
    """Processes whose command line mentions one of `marks`, ourselves left out."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        pid = int(path.parent.name)
        if pid != os.getpid() and any(mark in line for mark in marks):
            found.append((pid, line))
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fleet:
    """One Boxfleet with its own directories, port, bridge and range."""

    environment: dict[str, str]
    state: pathlib.Path
    run_directory: pathlib.Path

    @property
    def marks(self) -> tuple[str, ...]:
        """Texts by which its processes and mounts are told from others."""
        return (str(self.state), str(self.run_directory))

    @property
    def kubeconfig(self) -> pathlib.Path:
        """The administrator's way in."""
        return self.state / "credentials" / "admin.kubeconfig"

    def run(self, *words: str, check: bool = True, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """`./run WORDS`, as the README says it."""
        return self._call([str(REPOSITORY / "run"), *words], check=check, timeout=timeout)

    def boxfleet(self, *words: str, check: bool = True, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """The `boxfleet` command."""
        return self._call([str(REPOSITORY / ".venv/bin/boxfleet"), *words], check=check, timeout=timeout)

    def kubectl(
        self, *words: str, check: bool = True, timeout: float = 120, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """kubectl with the administrator's kubeconfig."""
        return self._call(
            ["kubectl", "--kubeconfig", str(self.kubeconfig), *words], check=check, timeout=timeout, stdin=stdin
        )

    def get(self, *words: str) -> Any:
        """`kubectl get WORDS -o json`, read."""
        return json.loads(self.kubectl("get", *words, "-o", "json").stdout)

    def process(self, role: str) -> int:
        """The pid of `server`, `agent` or `containerd`."""
        if role == "containerd":
            lines = [(pid, line) for pid, line in processes(marks=self.marks) if re.match(r"\S*containerd ", line)]
        else:
            lines = [
                (pid, line)
                for pid, line in processes(marks=("boxfleet",))
                if re.search(rf"boxfleet\S* {role}\b", line) and self._is_ours(pid)
            ]
        assert len(lines) == 1, f"expected one {role}, found {lines}"
        return lines[0][0]

    def _is_ours(self, pid: int) -> bool:
        try:
            return str(self.state) in pathlib.Path(f"/proc/{pid}/environ").read_text(errors="replace") or str(
                self.state
            ) in pathlib.Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
        except OSError:
            return False

    def holds(self, pid: int) -> bool:
        """Whether a process belongs to one of its instances, by its cgroup."""
        try:
            groups = pathlib.Path(f"/proc/{pid}/cgroup").read_text()
        except OSError:
            return False
        return any(f"/{place}/" in groups for place in cgroup.places(self.environment["BOXFLEET_CGROUP_PARENT"]))

    def identities(self) -> dict[str, tuple[str, str]]:
        """Instance name to address and domain name, as the ledger says."""
        return {
            item["spec"]["instance"]: (item["metadata"]["name"], item["spec"]["domain"])
            for item in self.get("addresses")["items"]
        }

    def _call(
        self, command: list[str], *, check: bool, timeout: float, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            env={**os.environ, **self.environment},
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=timeout,
            input=stdin,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done


def eventually(condition: Callable[[], Any], *, within: float, what: str) -> Any:
    """Ask until the answer is truthy; the whole world is asynchronous here, so this polls."""
    deadline = time.monotonic() + within
    last: object = None
    while time.monotonic() < deadline:
        try:
            last = condition()
        except (AssertionError, KeyError, OSError, subprocess.TimeoutExpired) as error:
            last = error
        else:
            if last:
                return last
        time.sleep(0.2)
    raise AssertionError(f"{what}: not within {within} s; last seen: {last}")
