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
from boxfleet.testing import journal as journals

pytestmark = [pytest.mark.e2e, pytest.mark.anyio, pytest.mark.timeout(600)]

BRIDGE = "bffault0"
GATEWAY = "10.91.0.1"
CGROUP = "/boxfleet-fault"
ROUNDS = 5
KILLS = 8
SETTLE = 150.0
ROLES = ["server", "agent", "containerd", "all", "dnsmasq", "containerd-shim"]


def ours(fleet: fleets.Fleet) -> dict[str, Any]:
    """What of this Boxfleet is on the machine; others may run beside."""
    whole = fleets.Footprint.take(marks=fleet.marks)
    return {
        "bridge": BRIDGE in whole.links,
        "mounts": whole.mounts,
        "cgroups": [
            str(path) for depth in ("", "/*") for path in pathlib.Path("/").glob(f"sys/fs/cgroup{depth}{CGROUP}*")
        ],
        "rules": [line for line in whole.rules.splitlines() if "10.91." in line or BRIDGE in line],
        "processes": whole.processes,
        "folders": [str(path) for path in (fleet.state, fleet.run_directory) if path.exists()],
        "results": inventory.network_results(BRIDGE),
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


def kill(fleet: fleets.Fleet, role: str, *, luck: float = 0.0) -> bool:
    """Kill -9 a process of Boxfleet, or all but the instances at once; whether it was there just now."""
    if role == "all":
        return sum(kill(fleet, each) for each in ("agent", "containerd", "server")) > 0
    try:
        if role in ("server", "agent", "containerd"):
            os.kill(fleet.process(role), signal.SIGKILL)
        else:
            lines = fleets.processes(marks=fleet.marks)
            found = [pid for pid, line in lines if pathlib.Path(line.split()[0]).name.startswith(role)]
            os.kill(found[int(luck * len(found))], signal.SIGKILL)
    except (AssertionError, IndexError, ProcessLookupError):
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
        journal = journals.Journal(client, locks, random.Random(f"changes {seed}"))
        dice = random.Random(f"kills {seed}")
        for number in range(ROUNDS):
            began = time.monotonic()
            async with asyncio.TaskGroup() as group:
                enough = asyncio.Event()
                group.create_task(journal.change_until(enough))
                killed: list[str] = []
                while len(killed) < KILLS:
                    await asyncio.sleep(dice.uniform(0.1, 1.5))
                    role = dice.choice(ROLES)
                    if await asyncio.to_thread(kill, fleet, role, luck=dice.random()):
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
        await client.create_raw(box.Box, journals.shop("oak", locks, replicas=2))
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
    file.write_text(yaml.safe_dump(journals.shop("oak", locks, replicas=2)))
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
    await client.create_raw(box.Box, journals.shop("oak", locks))
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
    # The store says so, or the audit log: whichever needs room first.
    assert any(words in refusal.message for words in ("disk", "No space left")), refusal.message
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
    await client.create_raw(box.Box, journals.shop("elm", locks))
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
