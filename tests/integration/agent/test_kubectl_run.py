"""kubectl run, attach, cp and port-forward on a host with a running agent."""

import asyncio
import contextlib
import subprocess

import pytest
from tests.integration.agent import bed as beds
from tests.integration.agent import image, shell

from boxfleet.api import pod as pods
from boxfleet.testing import server

pytestmark = [pytest.mark.anyio, pytest.mark.machine]


async def found(bed: beds.Bed, name: str) -> bool:
    return await bed.api.admin.find(pods.Pod, name, namespace="default") is not None


async def test_run_attach_and_copy(bed: beds.Bed) -> None:
    async with shell.of(bed) as kubectl, shell.controlled(bed):
        await kubectl("wait", "--for=condition=Ready", f"node/{server.NODE}", "--timeout=30s")
        words = ["run", "shell", f"--image={image.NAME}", "-it", "--rm", "--restart=Never", "--", "sh", "-c"]
        script = "read enter; echo in $(cat /proc/sys/kernel/hostname); read word; echo got $word; exit 4"
        code, said = await kubectl.talk(*words, script, steps=[("press", "\n"), ("in shell", "hello\n")])
        assert "got hello" in said
        assert 'pod "shell" deleted' in said
        assert code == 4
        assert not await found(bed, "shell")
        echo = ["sh", "-c", "while read x; do echo = $x; done; sleep 1"]
        main = {"name": "main", "image": image.NAME, "command": echo, "stdin": True, "tty": True}
        await bed.pod({"containers": [main]}, name="job")
        await bed.ready("job")
        data = bed.state / "data"
        data.write_text("through and back\n" * 1000)
        await kubectl("cp", str(data), "job:/tmp/data")
        await kubectl("cp", "job:/tmp/data", str(bed.state / "back"))
        assert (bed.state / "back").read_text() == data.read_text()
        code, said = await kubectl.talk("attach", "-it", "job", steps=[("press", "one\n"), ("= one", "\x04")])
        assert "= one" in said
        await kubectl("delete", "pod", "job", "--wait", "--grace-period=1")


async def test_forward_to_an_instance(bed: beds.Bed) -> None:
    await bed.pod({"containers": [{"name": "main", "command": ["/bin/perl", "/serve", "8080"]}]})
    await bed.ready()
    async with shell.of(bed) as kubectl:
        command = kubectl.command("port-forward", "pod/one", ":8080", "--address=127.0.0.1")
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            assert process.stdout is not None
            async with asyncio.timeout(20):
                said = (await process.stdout.readline()).decode()
                port = int(said.removeprefix("Forwarding from 127.0.0.1:").partition(" ")[0])
                # The server in the container begins to listen a moment after its process is there.
                while not (page := await _page(port)):
                    await asyncio.sleep(0.05)
            assert page.endswith(b"ok\n")
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _page(port: int) -> bytes:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return b""
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    try:
        return await reader.read()
    except OSError:
        return b""
    finally:
        writer.close()
