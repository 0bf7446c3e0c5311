"""kubectl logs of containers of containerd."""

import asyncio
import pathlib
import re
import subprocess

import pytest
from tests.integration.streams import bed as beds

from boxfleet.api import pod as pods

pytestmark = [pytest.mark.anyio, pytest.mark.machine]

SPEAK = ["sh", "-c", "echo one; echo two; echo three; exec sleep 100000"]


async def written(bed: beds.Bed, lines: int) -> None:
    """Wait until a container's log has so many lines."""
    async with asyncio.timeout(30):
        while sum(path.read_bytes().count(b"\n") for path in bed.logs.glob("*/main/*.log")) < lines:
            await asyncio.sleep(0.1)


async def test_whole_and_in_parts(bed: beds.Bed) -> None:
    await bed.pod("p", SPEAK)
    await written(bed, 3)
    assert (await bed.kubectl("logs", "p")).out == b"one\ntwo\nthree\n"
    assert (await bed.kubectl("logs", "p", "--tail=1")).out == b"three\n"
    assert (await bed.kubectl("logs", "p", "--since=1h")).out == b"one\ntwo\nthree\n"
    assert (await bed.kubectl("logs", "p", "--since-time=2100-01-01T00:00:00Z")).out == b""
    stamped = (await bed.kubectl("logs", "p", "--timestamps", "--tail=1")).out
    assert re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\S+ three\n", stamped)
    assert (await bed.kubectl("logs", "p", "--limit-bytes=5")).out == b"one\nt"


async def test_long_lines_come_in_one_piece(bed: beds.Bed) -> None:
    await bed.pod("p", ["sh", "-c", "head -c 3000000 /dev/zero | perl -pe 's/\\0/x/g'; echo; echo end"])
    await written(bed, 3_000_000 // (256 * 1024) + 2)
    assert (await bed.kubectl("logs", "p")).out == b"x" * 3_000_000 + b"\nend\n"


async def test_which_container_and_what_waits(bed: beds.Bed) -> None:
    await bed.pod("p", SPEAK, ["sh", "-c", "echo second >&2; exec sleep 1000"])
    async with asyncio.timeout(10):
        while (await bed.kubectl("logs", "p", "-c", "second")).out != b"second\n":
            await asyncio.sleep(0.05)
    await written(bed, 3)
    assert (await bed.kubectl("logs", "p", "-c", "main")).out == b"one\ntwo\nthree\n"
    done = await bed.kubectl("logs", "p", "-c", "none")
    assert (done.code, "container none is not valid for pod p" in done.err) == (1, True)
    spec = {"nodeName": "node-1", "containers": [{"name": "main", "image": beds.IMAGE}]}
    await bed.api.admin.create_raw(pods.Pod, {"metadata": {"name": "waits", "namespace": "default"}, "spec": spec})
    done = await bed.kubectl("logs", "waits")
    assert 'container "main" in pod "waits" is waiting to start: ContainerCreating' in done.err
    # Not scheduled: nothing, and no error.
    unbound = {"containers": spec["containers"]}
    await bed.api.admin.create_raw(pods.Pod, {"metadata": {"name": "free", "namespace": "default"}, "spec": unbound})
    done = await bed.kubectl("logs", "free")
    assert (done.code, done.out) == (0, b"")


async def test_previous_run(bed: beds.Bed) -> None:
    first = await bed.pod("p", ["sh", "-c", "echo first"])
    await bed.exited(first)
    await bed.run(*bed.sandbox, "main", ["sh", "-c", "echo second; exec sleep 100000"], attempt=1)
    await written(bed, 2)
    assert (await bed.kubectl("logs", "p")).out == b"second\n"
    assert (await bed.kubectl("logs", "p", "--previous")).out == b"first\n"
    # Its container is cleaned up, its log is still there.
    await bed.containerd.runtime.remove_container(first)
    assert (await bed.kubectl("logs", "p", "-p")).out == b"first\n"


async def test_follow_to_the_end_through_rotation(bed: beds.Bed) -> None:
    script = "i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo line $i; sleep 0.05; done"
    container = await bed.pod("p", ["sh", "-c", script])
    process = await bed.start("logs", "-f", "p")
    assert process.stdout is not None
    async with asyncio.timeout(30):
        assert await process.stdout.readline() == b"line 1\n"
        for _ in range(2):
            path = next(bed.logs.glob("default_p_*/main/0.log"))
            for number in (2, 1):
                older = path.with_name(f"0.log.{number - 1}") if number > 1 else path
                if older.exists():
                    older.rename(path.with_name(f"0.log.{number}"))
            await bed.containerd.runtime.reopen_log(container)
            await asyncio.sleep(0.4)
        rest, err = await process.communicate()
    assert rest.decode().splitlines() == [f"line {number}" for number in range(2, 41)]
    assert (process.returncode, err) == (0, b"")
    whole = await bed.kubectl("logs", "p")
    assert whole.out.decode().splitlines() == [f"line {number}" for number in range(1, 41)]


async def test_a_slow_reader_makes_nobody_grow(bed: beds.Bed) -> None:
    await bed.pod("p", ["sh", "-c", "seq 1 1500000; exec sleep 100000"])
    await written(bed, 1_500_000)
    process = await asyncio.create_subprocess_exec(
        "sh",
        "-c",
        f"kubectl --kubeconfig {bed.socket.kubeconfig} logs p | (sleep 2; exec sha256sum)",
        stdout=subprocess.PIPE,
    )
    before, most = resident(), 0
    async with asyncio.timeout(60):
        while process.returncode is None:
            most = max(most, resident())
            await asyncio.sleep(0.05)
        out, _ = await process.communicate()
    wanted = subprocess.run("seq 1 1500000 | sha256sum", shell=True, capture_output=True, check=True).stdout
    assert out == wanted
    assert most - before < 40 * 2**20


async def test_follow_costs_nothing_while_nothing_is_said(bed: beds.Bed) -> None:
    await bed.pod("p", SPEAK)
    process = await bed.start("logs", "-f", "p")
    assert process.stdout is not None
    for line in (b"one\n", b"two\n", b"three\n"):
        assert await process.stdout.readline() == line
    loop = asyncio.get_running_loop()
    turns = 0

    def count() -> None:
        nonlocal turns
        turns += 1

    select = loop._selector.select  # type: ignore[attr-defined]
    loop._selector.select = lambda timeout=None: (count(), select(timeout))[1]  # type: ignore[attr-defined]
    try:
        await asyncio.sleep(1)
    finally:
        loop._selector.select = select  # type: ignore[attr-defined]
    process.kill()
    await process.communicate()
    # Nobody polls: only what other parts of the bed do.
    assert turns < 30


def resident() -> int:
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096
