import asyncio
import hashlib
import json
import pathlib

import aiohttp
import pytest
from tests.unit.apiserver import streams_bed as beds

pytestmark = pytest.mark.anyio

EXEC = beds.POD_URL + "/exec?stdin=true&stdout=true&stderr=true"


def command(*words: str) -> str:
    return EXEC + "".join(f"&command={word}" for word in words)


async def gather(socket: aiohttp.ClientWebSocketResponse) -> tuple[bytes, bytes, dict[str, object]]:
    """Standard output, standard error and the Status."""
    out, err, status = b"", b"", {}
    async for message in socket:
        if message.data[0] == 1:
            out += message.data[1:]
        elif message.data[0] == 2:
            err += message.data[1:]
        elif message.data[0] == 3:
            status = json.loads(message.data[1:])
    return out, err, status


async def test_input_output_and_its_end(tmp_path: pathlib.Path) -> None:
    async with beds.bed(tmp_path) as bed, bed.websocket(command("cat")) as user:
        assert user.protocol == "v5.channel.k8s.io"
        await user.send_bytes(b"\0hello ")
        await user.send_bytes(b"\0world")
        await user.send_bytes(bytes([255, 0]))
        assert await gather(user) == (b"hello world", b"", {"metadata": {}, "status": "Success"})


async def test_exit_code_is_told_as_kubernetes_does(tmp_path: pathlib.Path) -> None:
    async with beds.bed(tmp_path) as bed, bed.websocket(command("sh", "-c", "echo bad >%262; exit 7")) as user:
        out, err, status = await gather(user)
        assert (out, err) == (b"", b"bad\n")
        assert status["reason"] == "NonZeroExitCode"
        assert status["details"] == {"causes": [{"reason": "ExitCode", "message": "7"}]}


async def test_a_program_that_is_not_there(tmp_path: pathlib.Path) -> None:
    async with beds.bed(tmp_path) as bed, bed.websocket(command("broken")) as user:
        _, _, status = await gather(user)
        assert status["message"] == "error executing command in container: no such program"


async def test_resize_reaches_the_session(tmp_path: pathlib.Path) -> None:
    async with beds.bed(tmp_path) as bed, bed.websocket(command("cat")) as user:
        await user.send_bytes(b'\x04{"Width":120,"Height":40}')
        await user.send_bytes(b"\x04rubbish")
        await user.send_bytes(bytes([255, 0]))
        await gather(user)
        assert bed.engine.sessions[0].sizes == [(120, 40)]


async def test_much_output_arrives_whole(tmp_path: pathlib.Path) -> None:
    async with beds.bed(tmp_path) as bed, bed.websocket(command("head", "-c", "20000000", "/dev/zero")) as user:
        size, digest = 0, hashlib.sha256()
        async for message in user:
            if message.data[0] == 1:
                size += len(message.data) - 1
                digest.update(message.data[1:])
        assert size == 20_000_000
        assert digest.hexdigest() == hashlib.sha256(bytes(20_000_000)).hexdigest()


async def test_a_slow_reader_holds_the_process_back(tmp_path: pathlib.Path) -> None:
    async with beds.bed(tmp_path) as bed, bed.websocket(command("yes")) as user:
        await user.receive()
        process = bed.engine.sessions[0]._process
        before = -1
        # Its output stops growing while nobody reads.
        for _ in range(100):
            written = int(pathlib.Path(f"/proc/{process.pid}/io").read_text().split("wchar: ")[1].split()[0])
            if written == before:
                break
            before = written
            await asyncio.sleep(0.05)
        else:
            pytest.fail("the process was never held back")
        assert 0 < before < 64 * 2**20


async def test_a_user_who_vanishes_ends_the_session(tmp_path: pathlib.Path) -> None:
    async with beds.bed(tmp_path) as bed:
        async with bed.websocket(command("sh", "-c", "echo up; exec sleep 1000")) as user:
            while (await user.receive()).data != b"\x01up\n":
                pass
            user._response.connection.transport.abort()  # type: ignore[union-attr]
        async with asyncio.timeout(30):
            while not bed.engine.sessions[0].closed:
                await asyncio.sleep(0.005)


async def test_an_agent_that_vanishes_is_told(tmp_path: pathlib.Path) -> None:
    async with beds.bed(tmp_path, agent=False) as bed:
        async with bed.agent():
            user = await bed.websocket(command("sh", "-c", "echo up; exec sleep 1000"))
            while (await user.receive()).data != b"\x01up\n":
                pass
        _, _, status = await gather(user)
        assert status["code"] == 503
        assert "broke the stream off" in str(status["message"])


async def test_attach(tmp_path: pathlib.Path) -> None:
    path = beds.POD_URL + "/attach?stdin=1&stdout=1&container=main"
    async with beds.bed(tmp_path) as bed, bed.websocket(path, protocol="v4.channel.k8s.io") as user:
        assert user.protocol == "v4.channel.k8s.io"
        await user.send_bytes(b"\0hi")
        while (await user.receive()).data != b"\x01hi":
            pass


async def refused(bed: beds.Bed, path: str) -> tuple[int, str]:
    """What a GET of the same path says; a WebSocket is refused with the same number."""
    async with bed.get(path) as answer:
        status = await answer.json(content_type=None)
    with pytest.raises(aiohttp.WSServerHandshakeError) as error:
        await bed.websocket(path)
    assert error.value.status == answer.status
    return answer.status, status["message"]


async def test_what_is_refused_before_a_stream_opens(tmp_path: pathlib.Path) -> None:
    async with beds.bed(tmp_path) as bed:
        bed.pod = beds.a_pod(containers=("a", "b"))
        assert await refused(bed, command("true")) == (
            400,
            "a container name must be specified for pod p, choose one of: [a b]",
        )
        assert await refused(bed, command("true") + "&container=c") == (400, "container c is not valid for pod p")
        assert await refused(bed, EXEC + "&container=a") == (
            400,
            "you must specify at least one command for the container",
        )
        assert await refused(bed, command("true") + "&container=a&tty=true") == (
            400,
            "tty and stderr cannot both be true",
        )
        bed.pod.status.phase = "Succeeded"
        code, message = await refused(bed, command("true") + "&container=a")
        assert (code, message.endswith("current phase is Succeeded")) == (400, True)
        bed.pod = None
        assert (await refused(bed, command("true")))[0] == 404


async def test_default_container_by_annotation(tmp_path: pathlib.Path) -> None:
    async with beds.bed(tmp_path) as bed:
        bed.pod = beds.a_pod(containers=("other", "main"))
        bed.pod.metadata.annotations["kubectl.kubernetes.io/default-container"] = "main"
        async with bed.websocket(command("echo", "hi")) as user:
            assert (await gather(user))[0] == b"hi\n"


async def test_without_websocket_the_answer_says_what_to_do(tmp_path: pathlib.Path) -> None:
    async with beds.bed(tmp_path) as bed, bed.get(command("true")) as answer:
        assert answer.status == 400
        assert "ask for a WebSocket, or for SPDY/3.1" in (await answer.json(content_type=None))["message"]
