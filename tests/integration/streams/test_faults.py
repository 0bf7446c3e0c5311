"""What breaks while streams run: users, servers and runtimes that die."""

import asyncio
import contextlib
import os
import signal
import subprocess

import pytest
from tests.integration.streams import bed as beds

from boxfleet.apiserver.streams import remote

pytestmark = [pytest.mark.anyio, pytest.mark.machine]

SLEEP = ["sleep", "100000"]


async def test_a_user_who_dies_while_nobody_takes_the_input(bed: beds.Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_PROBE_SECONDS", 0.2)
    await bed.pod("p", SLEEP)
    tasks = len(asyncio.all_tasks())
    # More than all buffers on the way hold.
    process = await asyncio.create_subprocess_exec(
        "sh",
        "-c",
        f"head -c 200000000 /dev/zero | exec kubectl --kubeconfig {bed.socket.kubeconfig} exec -i p -- sleep 100000",
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    async with asyncio.timeout(10):
        while len(asyncio.all_tasks()) <= tasks:
            await asyncio.sleep(0.01)
    assert process.stderr is not None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            assert await process.stderr.read() == b"the command goes on"
    os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    async with asyncio.timeout(10):
        while len(asyncio.all_tasks()) > tasks:
            await asyncio.sleep(0.01)


async def test_a_container_that_has_ended(bed: beds.Bed) -> None:
    await bed.exited(await bed.pod("p", ["sh", "-c", "exit 0"]))
    done = await bed.kubectl("exec", "p", "--", "echo", "hi")
    assert done.code == 1
    assert 'container not found ("main")' in done.err


async def test_a_runtime_that_dies_ends_the_command_with_a_reason(bed: beds.Bed) -> None:
    await bed.pod("p", ["sh", "-c", "echo one; exec sleep 100000"])
    follower = await bed.start("logs", "-f", "p")
    assert follower.stdout is not None
    assert await follower.stdout.readline() == b"one\n"
    process = await bed.start("exec", "-i", "p", "--", "cat", stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"up\n")
    assert await process.stdout.readline() == b"up\n"
    pid = bed.containerd.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(10):
        _, err = await process.communicate()
    assert process.returncode == 1
    assert "the streams ended before the runtime told the outcome" in err.decode()
    # Logs are files: they can still be read, and a follower waits for the runtime to come back.
    assert (await bed.kubectl("logs", "p")).code == 0
    await bed.containerd.start()
    assert follower.returncode is None
    follower.kill()
    await follower.communicate()
    done = await bed.kubectl("exec", "p", "--", "echo", "again")
    assert done.out == b"again\n"


async def test_the_agent_is_back_after_a_restart_of_the_server(bed: beds.Bed) -> None:
    await bed.pod("p", SLEEP)
    process = await bed.start("exec", "-i", "p", "--", "cat", stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"up\n")
    assert await process.stdout.readline() == b"up\n"
    await bed.restart_server()
    async with asyncio.timeout(30):
        await bed.connected()
    await process.communicate()
    assert process.returncode == 1
    done = await bed.kubectl("exec", "p", "--", "echo", "again")
    assert (done.out, done.err) == (b"again\n", "")
