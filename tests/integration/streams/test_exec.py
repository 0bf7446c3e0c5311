"""kubectl exec, attach and cp against containers of containerd."""

import asyncio
import hashlib
import os
import pathlib
import signal
import subprocess

import pytest
from tests.integration.streams import bed as beds

pytestmark = [pytest.mark.anyio, pytest.mark.machine]

SLEEP = ["sleep", "100000"]


@pytest.fixture(params=beds.WAYS)
def bed(bed: beds.Bed, request: pytest.FixtureRequest) -> beds.Bed:
    return bed.speaking(request.param)


async def test_output_errors_and_exit_codes(bed: beds.Bed) -> None:
    await bed.pod("p", SLEEP)
    done = await bed.kubectl("exec", "p", "--", "sh", "-c", "echo out; echo err >&2")
    assert (done.code, done.out, done.err) == (0, b"out\n", "err\n")
    done = await bed.kubectl("exec", "p", "--", "sh", "-c", "exit 42")
    assert (done.code, done.err) == (42, "command terminated with exit code 42\n")
    done = await bed.kubectl("exec", "p", "--", "no-such-program")
    assert done.code != 0
    assert done.err.startswith("error: error executing command in container: failed to exec in container: ")
    assert "no-such-program" in done.err


async def test_input_ends_where_the_users_does(bed: beds.Bed) -> None:
    await bed.pod("p", SLEEP)
    done = await bed.kubectl("exec", "-i", "p", "--", "cat", stdin=b"hi\n")
    assert (done.code, done.out) == (0, b"hi\n")
    data = os.urandom(2_000_000)
    done = await bed.kubectl("exec", "-i", "p", "--", "sha256sum", stdin=data)
    assert done.out.split()[0].decode() == hashlib.sha256(data).hexdigest()


async def test_much_output_arrives_whole_and_nobody_grows(bed: beds.Bed) -> None:
    await bed.pod("p", SLEEP)
    before = resident()
    process = await bed.start("exec", "p", "--", "sh", "-c", "seq 1 7000000 | head -c 50000000")
    assert process.stdout is not None
    digest, size, most = hashlib.sha256(), 0, 0
    async with asyncio.timeout(60):
        while data := await process.stdout.read(2**20):
            digest.update(data)
            size += len(data)
            most = max(most, resident())
        await process.communicate()
    wanted = subprocess.run("seq 1 7000000 | head -c 50000000 | sha256sum", shell=True, capture_output=True, check=True)
    assert size == 50_000_000
    assert digest.hexdigest() == wanted.stdout.split()[0].decode()
    assert most - before < 40 * 2**20


async def test_terminal_with_its_size(bed: beds.Bed) -> None:
    await bed.pod("p", SLEEP)
    command = f"stty rows 33 cols 111; exec {' '.join(kubectl(bed))} exec -it p -- sh"
    process = await asyncio.create_subprocess_exec(
        "script",
        "-qefc",
        command,
        "/dev/null",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | bed.environment,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    shown = b""
    async with asyncio.timeout(20):
        process.stdin.write(b"sleep 0.3; stty size; exit 5\n")
        while data := await process.stdout.read(4096):
            shown += data
        assert await process.wait() == 5
    process.stdin.close()
    assert b"33 111" in shown


async def test_attach_joins_the_main_process(bed: beds.Bed) -> None:
    await bed.pod("p", ["sh", "-c", "while read line; do echo got $line; done; echo end; exec sleep 1000"], stdin=True)
    process = await bed.start("attach", "-i", "p", stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    async with asyncio.timeout(20):
        process.stdin.write(b"one\n")
        assert await process.stdout.readline() == b"got one\n"
    process.kill()
    await process.communicate()
    done = await bed.kubectl("logs", "p")
    assert done.out == b"got one\n"


async def test_attach_that_came_too_late_says_so(bed: beds.Bed) -> None:
    # kubectl run then shows the log. What is said only after the attach is no reason to.
    for name, script, code in [
        ("late", "echo early; read line", 1),
        ("silent", "read line", 0),
        ("both", "read line; echo then", 0),
    ]:
        await bed.pod(name, ["sh", "-c", script], stdin=True)
        process = await bed.start("attach", "-i", name, stdin=subprocess.PIPE)
        async with asyncio.timeout(20):
            out, said = await process.communicate(b"\n")
        assert process.returncode == code, (name, said)
        assert (b"its log has it" in said) == bool(code)
        assert out == (b"then\n" if name == "both" else b"")


async def test_copy_both_ways(bed: beds.Bed, tmp_path: pathlib.Path) -> None:
    await bed.pod("p", SLEEP)
    data = os.urandom(3_000_000)
    (tmp_path / "file").write_bytes(data)
    done = await bed.kubectl("cp", str(tmp_path / "file"), "p:/tmp/there")
    assert done.code == 0, done.err
    done = await bed.kubectl("cp", "p:/tmp/there", str(tmp_path / "back"))
    assert done.code == 0, done.err
    assert (tmp_path / "back").read_bytes() == data


async def test_which_container(bed: beds.Bed) -> None:
    await bed.pod("p", SLEEP, SLEEP)
    done = await bed.kubectl("exec", "p", "-c", "second", "--", "echo", "hi")
    assert done.out == b"hi\n"
    done = await bed.kubectl("exec", "p", "-c", "none", "--", "echo", "hi")
    assert done.code == 1
    assert "container none is not valid for pod p" in done.err
    done = await bed.kubectl("exec", "q", "--", "echo", "hi")
    assert 'pods "q" not found' in done.err


async def test_without_the_agent_kubectl_says_so(bed: beds.Bed) -> None:
    await bed.pod("p", SLEEP)
    await bed.stop_agent()
    done = await bed.kubectl("exec", "p", "--", "echo", "hi")
    assert done.code == 1
    assert "has no agent connection" in done.err


async def test_a_killed_kubectl_leaves_nothing_behind(bed: beds.Bed) -> None:
    await bed.pod("p", SLEEP)
    tasks, descriptors = len(asyncio.all_tasks()), open_files()
    for words in (["-i", "p", "--", "cat"], ["p", "--", "sh", "-c", "echo up; exec seq 1 100000000"]):
        process = await bed.start("exec", *words, stdin=subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"up\n")
        assert await process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGKILL)
        await process.communicate()
    async with asyncio.timeout(10):
        while len(asyncio.all_tasks()) > tasks or open_files() > descriptors:
            await asyncio.sleep(0.01)


async def test_an_agent_that_stops_is_told(bed: beds.Bed) -> None:
    await bed.pod("p", SLEEP)
    process = await bed.start("exec", "-i", "p", "--", "cat", stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"up\n")
    assert await process.stdout.readline() == b"up\n"
    await bed.stop_agent()
    async with asyncio.timeout(10):
        _, err = await process.communicate()
    assert process.returncode == 1
    assert b"broke the stream off" in err


def kubectl(bed: beds.Bed) -> list[str]:
    return [bed.program, "--kubeconfig", str(bed.socket.kubeconfig), f"--cache-dir={bed.folder / 'cache'}"]


def resident() -> int:
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096


def open_files() -> int:
    return len(list(pathlib.Path("/proc/self/fd").iterdir()))
