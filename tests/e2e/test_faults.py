"""What breaks: killed processes, a stopped server, commands cut off, a full disk. Nothing acknowledged is lost.

BOXFLEET_FAULT_SEED repeats a run; each test prints its seed.
"""

import asyncio
import contextlib
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import yaml

from boxfleet.api import box, pod
from boxfleet.client import client as clients
from boxfleet.client import errors, http
from boxfleet.drivers.dnsmasq import lookup
from boxfleet.ports import runtime
from boxfleet.testing import fleet as fleets
from boxfleet.testing import inventory, tools

pytestmark = [pytest.mark.e2e, pytest.mark.anyio, pytest.mark.timeout(600)]

BRIDGE = "bffault0"
GATEWAY = "10.91.0.1"
CGROUP = "/boxfleet-fault"
ROUNDS = 5
KILLS = 6
SETTLE = 150.0

# Takes a lock by its name and one by its address for as long as it runs, and tells who held them already.
INSTANCE = """
use IO::Socket::INET;
$SIG{TERM} = sub { exit 0 };
sub note { open(my $log, '>>', '/locks/log') or die; syswrite $log, "@_\\n" }
for my $what ($ENV{POD}, $ENV{IP}) {
  open(my $lock, '>>', "/locks/$what") or die;
  note("overlap $what") unless flock $lock, 6;
  push @held, $lock;
}
note("start $ENV{POD} $ENV{IP}");
my $server = IO::Socket::INET->new(LocalPort => 8080, Listen => 5, ReuseAddr => 1) or die;
while (1) { my $caller = $server->accept }
"""


def unit(locks: pathlib.Path, step: int, *, replicas: int = 1, data: bool = False, after: str = "") -> dict[str, Any]:
    """A Unit whose instances listen, and prove that they are alone."""
    fields = {"POD": "metadata.name", "IP": "status.podIP"}
    container: dict[str, Any] = {
        "name": "main",
        "image": tools.IMAGE,
        "command": ["perl", "-e", INSTANCE],
        "env": [
            {"name": "STEP", "value": str(step)},
            *({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in fields.items()),
        ],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
        "volumeMounts": [{"name": "locks", "mountPath": "/locks"}],
    }
    made: dict[str, Any] = {
        "replicas": replicas,
        "dependsOn": [{"unit": after}] if after else [],
        "template": {
            "spec": {
                "terminationGracePeriodSeconds": 2,
                "containers": [container],
                "volumes": [{"name": "locks", "hostPath": {"path": str(locks)}}],
            }
        },
    }
    if data:
        container["volumeMounts"].append({"name": "data", "mountPath": "/data"})
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
        made["volumeClaimTemplates"] = [{"metadata": {"name": "data"}, "spec": claim}]
    return made


def shop(name: str, locks: pathlib.Path, *, step: int = 0, replicas: int = 1) -> dict[str, Any]:
    """A Box of two Units, the second after the first."""
    return {
        "apiVersion": "boxfleet.dev/v1",
        "kind": "Box",
        "metadata": {"name": name, "namespace": "default", "annotations": {"step": str(step)}},
        "spec": {
            "units": {
                "db": unit(locks, step, data=True),
                "web": unit(locks, step, replicas=replicas, after="db"),
            }
        },
    }


def ours(fleet: fleets.Fleet) -> dict[str, Any]:
    """What of this Boxfleet is on the machine; others may run beside."""
    whole = fleets.Footprint.take(marks=fleet.marks)
    return {
        "bridge": BRIDGE in whole.links,
        "mounts": whole.mounts,
        "cgroups": [str(path) for path in pathlib.Path("/sys/fs/cgroup").glob(f"**{CGROUP}*")],
        "rules": [line for line in whole.rules.splitlines() if "10.91." in line or BRIDGE in line],
        "processes": whole.processes,
        "folders": [str(path) for path in (fleet.state, fleet.run_directory) if path.exists()],
        "results": [str(path) for path in pathlib.Path("/var/lib/cni/results").glob("*") if BRIDGE in path.read_text()],
    }


@contextlib.contextmanager
def home(state: pathlib.Path) -> Iterator[fleets.Fleet]:
    """A place for a Boxfleet, not started; nothing of it may stay."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    run_directory = pathlib.Path("/run/boxfleet-fault")
    fleet = fleets.Fleet(
        environment={
            "BOXFLEET_STATE": str(state),
            "BOXFLEET_RUN": str(run_directory),
            "BOXFLEET_PORT": str(port),
            "BOXFLEET_BRIDGE": BRIDGE,
            "BOXFLEET_CIDR": "10.91.0.0/16",
            "BOXFLEET_CGROUP_PARENT": CGROUP,
        },
        state=state,
        run_directory=run_directory,
    )
    before = ours(fleet)
    assert not before["folders"], f"left from another run: {before['folders']}"
    try:
        yield fleet
    finally:
        fleet.boxfleet("down", "--purge")
    assert ours(fleet) == before


@pytest.fixture
def fleet() -> Iterator[fleets.Fleet]:
    """A Boxfleet that is not started yet."""
    with home(pathlib.Path("/var/lib/boxfleet-fault")) as made:
        yield made


@pytest.fixture
def locks() -> Iterator[pathlib.Path]:
    """Where instances prove that they are alone."""
    with tempfile.TemporaryDirectory(prefix="bf-fault-", dir="/tmp") as folder:
        path = pathlib.Path(folder)
        (path / "log").touch()
        yield path
        assert "overlap" not in (path / "log").read_text()


@pytest.fixture
def seed() -> str:
    """Chance that can be repeated."""
    chosen = os.environ.get("BOXFLEET_FAULT_SEED") or str(time.time_ns() % 10**9)
    sys.stdout.write(f"BOXFLEET_FAULT_SEED={chosen}\n")
    return chosen


def start(fleet: fleets.Fleet) -> None:
    """Have it running, with the image of the instances."""
    fleet.boxfleet("up")
    with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
        archive.write(tools.archive())
        archive.flush()
        fleet.boxfleet("image", "import", archive.name)


@contextlib.asynccontextmanager
async def connected(fleet: fleets.Fleet) -> AsyncIterator[clients.Client]:
    """The API as the administrator."""
    user = yaml.safe_load(fleet.kubeconfig.read_text())["users"][0]["user"]
    url = f"https://127.0.0.1:{fleet.environment['BOXFLEET_PORT']}"
    client = clients.Client(http.Http(url, token=user["token"], authority=fleet.state / "pki" / "ca.crt"))
    try:
        yield client
    finally:
        await client.close()


class Journal:
    """Changes Boxes, and knows each change that was acknowledged: a Box's step is the number of its last one."""

    def __init__(self, client: clients.Client, locks: pathlib.Path, dice: random.Random) -> None:
        self._client = client
        self._locks = locks
        self._dice = dice
        self._step = 0
        self.changes = 0
        self.boxes: dict[str, int] = {}
        self.ever: set[str] = set()

    async def change_until(self, enough: asyncio.Event) -> None:
        """Make changes, each repeated until it is acknowledged."""
        while not enough.is_set():
            await self._change()
            self.changes += 1
            await asyncio.sleep(self._dice.uniform(0.05, 0.8))

    async def _change(self) -> None:
        name = self._dice.choice(["ash", "elm", "fir", "oak"])
        self._step += 1
        if name not in self.boxes:
            await self._until_acknowledged(self._create, name)
            return
        await self._until_acknowledged(self._check, name)
        what = self._dice.choice([self._template, self._scale, self._scale, self._pod, self._remove])
        await self._until_acknowledged(what, name)

    async def lost(self) -> list[str]:
        """Acknowledged writes that the API does not show."""
        found = {one.metadata.name: one for one in (await self._client.list(box.Box)).items}
        shown = {name: int(one.metadata.annotations["step"]) for name, one in found.items()}
        return [] if shown == self.boxes else [f"boxes with steps {shown}, acknowledged {self.boxes}"]

    async def _until_acknowledged(self, what: Any, name: str) -> None:
        end = time.monotonic() + 60
        # The dice must not be thrown again for a repetition.
        luck = self._dice.random()
        while True:
            try:
                await what(name, luck)
                return
            except errors.Unavailable:
                assert time.monotonic() < end, "the server does not come back"
                await asyncio.sleep(0.1)

    async def _create(self, name: str, luck: float) -> None:
        wanted = shop(name, self._locks, step=self._step, replicas=1 + int(luck * 3))
        try:
            await self._client.create_raw(box.Box, wanted)
        except errors.AlreadyExists:
            # The first try was done, but its answer lost.
            found = await self._client.get(box.Box, name, namespace="default")
            assert found.metadata.annotations["step"] == str(self._step)
        self.boxes[name] = self._step
        self.ever.add(name)

    async def _check(self, name: str, _luck: float) -> None:
        found = await self._client.get(box.Box, name, namespace="default")
        assert int(found.metadata.annotations["step"]) == self.boxes[name]

    async def _template(self, name: str, _luck: float) -> None:
        units = {"db": unit(self._locks, self._step, data=True), "web": unit(self._locks, self._step, after="db")}
        for each in units.values():
            del each["replicas"]
        await self._patch(name, units)

    async def _scale(self, name: str, luck: float) -> None:
        await self._patch(name, {"web": {"replicas": int(luck * 4)}})

    async def _patch(self, name: str, units: dict[str, Any]) -> None:
        change = {"metadata": {"annotations": {"step": str(self._step)}}, "spec": {"units": units}}
        await self._client.patch(box.Box, name, change, namespace="default")
        self.boxes[name] = self._step

    async def _pod(self, name: str, luck: float) -> None:
        found = await self._client.list(pod.Pod, namespace="default", labels=f"boxfleet.dev/box={name}")
        if found.items:
            victim = found.items[int(luck * len(found.items))]
            with contextlib.suppress(errors.NotFound):
                await self._client.delete(pod.Pod, victim.metadata.name, namespace="default", uid=victim.metadata.uid)

    async def _remove(self, name: str, _luck: float) -> None:
        with contextlib.suppress(errors.NotFound):
            await self._client.delete(box.Box, name, namespace="default")
        self.boxes.pop(name, None)


async def settled(fleet: fleets.Fleet, client: clients.Client, *, within: float = SETTLE) -> inventory.World:
    """Wait until nothing is to be complained about; twice in a row, since a leak may show late."""
    end = time.monotonic() + within
    well, found = 0, ["nothing was seen"]
    while True:
        try:
            world = await inventory.look(fleet, client)
            found = await inventory.complaints(fleet, world)
        except (errors.ApiError, runtime.RuntimeFault) as error:
            found = [str(error)]
        well = 0 if found else well + 1
        if well == 2:
            return world
        assert time.monotonic() < end, "not settled:\n" + "\n".join(found)
        await asyncio.sleep(0.5)


def kill(fleet: fleets.Fleet, role: str) -> bool:
    """Kill -9 a process of Boxfleet, if it is there just now."""
    try:
        os.kill(fleet.process(role), signal.SIGKILL)
    except (AssertionError, ProcessLookupError):
        return False
    return True


def main_process(name: str) -> int:
    """The main process of an instance, as the host sees it."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (path / "environ").read_bytes().split(b"\0")
            if f"POD={name}".encode() in words and b"perl" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    assert len(found) == 1, f"{name} has processes {found}"
    return found[0]


async def test_killed_again_and_again(fleet: fleets.Fleet, locks: pathlib.Path, seed: str) -> None:
    await asyncio.to_thread(start, fleet)
    async with connected(fleet) as client:
        journal = Journal(client, locks, random.Random(f"changes {seed}"))
        dice = random.Random(f"kills {seed}")
        for number in range(ROUNDS):
            began = time.monotonic()
            async with asyncio.TaskGroup() as group:
                enough = asyncio.Event()
                group.create_task(journal.change_until(enough))
                killed: list[str] = []
                while len(killed) < KILLS:
                    await asyncio.sleep(dice.uniform(0.1, 2.0))
                    role = dice.choice(["server", "agent", "containerd"])
                    if await asyncio.to_thread(kill, fleet, role):
                        killed.append(role)
                enough.set()
            middle = time.monotonic()
            await settled(fleet, client)
            sys.stdout.write(
                f"round {number}: {journal.changes} changes, {middle - began:.1f} s of kills ({' '.join(killed)}), "
                f"settled in {time.monotonic() - middle:.1f} s\n"
            )
            assert await journal.lost() == []
            for name in journal.ever - journal.boxes.keys():
                assert await ask(f"web.{name}.default.fleet.internal") == []
            assert "overlap" not in (locks / "log").read_text()


async def test_everything_runs_on_while_the_server_is_down(fleet: fleets.Fleet, locks: pathlib.Path) -> None:
    await asyncio.to_thread(start, fleet)
    async with connected(fleet) as client:
        await client.create_raw(box.Box, shop("oak", locks, replicas=2))
        before = await settled(fleet, client)
        wanted = {one.spec.domain: [one.metadata.name] for one in before.addresses}
        service = str(fleet.run_directory / "services" / "server")
        await asyncio.to_thread(subprocess.run, ["s6-svc", "-wD", "-d", service], check=True)
        try:
            await restarted("oak-web-0")
            agent = fleet.process("agent")
            assert kill(fleet, "agent")
            await until(lambda: fleet.process("agent") != agent, "a new agent")
            for name in ("oak-web-0", "oak-db-0"):
                await restarted(name)
            assert kill(fleet, "containerd")
            await restarted("oak-web-1")
            # The sandbox itself: made anew, with its address, from what is on disk alone.
            await restarted("oak-db-0", of="pause")
            for domain, addresses in wanted.items():
                assert await ask(domain) == addresses
        finally:
            await asyncio.to_thread(subprocess.run, ["s6-svc", "-u", service], check=True)
        # Until the agent has been heard, the API shows what was before.
        end = time.monotonic() + 60
        while not await all_restarted(client):
            assert time.monotonic() < end, "restarts are not told"
            await asyncio.sleep(0.2)
        after = await settled(fleet, client)
    assert {one.metadata.uid for one in after.addresses} == {one.metadata.uid for one in before.addresses}
    assert after.uids == before.uids


async def all_restarted(client: clients.Client) -> bool:
    """Whether the API knows of a restart of every instance."""
    try:
        return all(each.status.containerStatuses[0].restartCount for each in (await client.list(pod.Pod)).items)
    except errors.Unavailable:
        return False


async def test_commands_cut_off_are_finished_by_the_next(fleet: fleets.Fleet, locks: pathlib.Path, seed: str) -> None:
    dice = random.Random(seed)
    file = locks / "oak.yaml"
    file.write_text(yaml.safe_dump(shop("oak", locks, replicas=2)))
    for _ in range(4):
        await cut_off(fleet, "up", after=dice.uniform(0.2, 2.5))
    await asyncio.to_thread(start, fleet)
    await cut_off(fleet, "up", str(file), after=dice.uniform(0.5, 2.0))
    await asyncio.to_thread(fleet.boxfleet, "up", str(file))
    async with connected(fleet) as client:
        before = await settled(fleet, client)
    for _ in range(3):
        await cut_off(fleet, "down", after=dice.uniform(0.3, 2.0))
    await asyncio.to_thread(fleet.boxfleet, "down")
    assert fleets.processes(marks=fleet.marks) == []
    await cut_off(fleet, "up", after=dice.uniform(0.3, 2.0))
    await asyncio.to_thread(fleet.boxfleet, "up", str(file))
    async with connected(fleet) as client:
        after = await settled(fleet, client)
    assert {one.metadata.uid for one in after.addresses} == {one.metadata.uid for one in before.addresses}
    assert after.uids == before.uids
    for _ in range(3):
        await cut_off(fleet, "down", "--purge", after=dice.uniform(0.3, 2.5))
    # The fixture purges what is left of that, and compares the machine.


async def test_a_full_disk_is_told_and_loses_nothing(locks: pathlib.Path, tmp_path: pathlib.Path) -> None:
    disk = pathlib.Path("/var/lib/boxfleet-fault-disk")
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "boxfleet-fault", str(disk)], check=True)
    try:
        with home(disk / "state") as fleet:
            await asyncio.to_thread(start, fleet)
            async with connected(fleet) as client:
                await full_disk(fleet, client, locks, disk / "filler")
    finally:
        subprocess.run(["umount", str(disk)], check=True)
        disk.rmdir()


async def full_disk(fleet: fleets.Fleet, client: clients.Client, locks: pathlib.Path, filler: pathlib.Path) -> None:
    """Fill the disk, change things, and give the space back."""
    acknowledged = {"oak": 0}
    await client.create_raw(box.Box, shop("oak", locks))
    await settled(fleet, client)
    fill(filler)
    refusal = None
    for number in range(2000):
        try:
            change = {"metadata": {"annotations": {"step": str(number), "filler": "x" * 4000}}}
            await client.patch(box.Box, "oak", change, namespace="default")
            acknowledged["oak"] = number
        except errors.ApiError as error:
            refusal = error
            break
    assert refusal is not None
    assert "disk" in refusal.message, refusal.message
    # What is there can be read, and the instances run.
    found = await client.get(box.Box, "oak", namespace="default")
    assert int(found.metadata.annotations["step"]) == acknowledged["oak"]
    assert main_process("oak-web-0")
    assert await ask("web.oak.default.fleet.internal") != []
    for role in ("server", "agent", "containerd"):
        assert await asyncio.to_thread(kill, fleet, role)
    await asyncio.sleep(5)
    assert main_process("oak-web-0")
    filler.unlink()
    await settled(fleet, client)
    found = await client.get(box.Box, "oak", namespace="default")
    assert int(found.metadata.annotations["step"]) >= acknowledged["oak"]
    await client.create_raw(box.Box, shop("elm", locks))
    await settled(fleet, client)


def fill(file: pathlib.Path) -> None:
    """Leave no byte on a file's disk."""
    with file.open("wb", buffering=0) as sink:
        for size in (2**20, 4096, 1):
            with contextlib.suppress(OSError):
                while sink.write(b"\0" * size) == size:
                    pass


async def ask(name: str) -> list[str] | None:
    """What the host's name server says."""
    return await lookup.addresses(name, server=GATEWAY, port=53, space=None, patience=5.0)


async def until(condition: Any, what: str) -> None:
    """Wait on a thread, so that the connection to the API lives on."""
    await asyncio.to_thread(fleets.eventually, condition, within=60, what=what)


async def restarted(name: str, *, of: str = "perl") -> None:
    """Kill the main process of an instance, or its sandbox, and wait for the next one."""
    old = main_process(name)
    victim = old if of == "perl" else sandbox_process(old)
    os.kill(victim, signal.SIGKILL)
    await until(lambda: main_process(name) != old, f"{name} again")


def sandbox_process(pid: int) -> int:
    """The process that holds the network of another one's sandbox."""
    network = pathlib.Path(f"/proc/{pid}/ns/net").readlink()
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (path / "ns/net").readlink() == network and b"pause" in (path / "cmdline").read_bytes():
                return int(path.name)
    raise AssertionError(f"{pid} has no sandbox")


async def cut_off(fleet: fleets.Fleet, *words: str, after: float) -> None:
    """Run a command and kill it with all that it runs, after some seconds."""
    process = await asyncio.create_subprocess_exec(
        str(fleets.REPOSITORY / ".venv/bin/boxfleet"),
        *words,
        env={**os.environ, **fleet.environment},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    await asyncio.sleep(after)
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
