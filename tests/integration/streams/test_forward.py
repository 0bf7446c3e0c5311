"""kubectl port-forward into containers of containerd, and what a restarted server means for streams."""

import asyncio
import contextlib
import re
import subprocess

import aiohttp
import pytest
from tests.integration.streams import bed as beds

pytestmark = [pytest.mark.anyio, pytest.mark.machine]


@pytest.fixture(params=beds.WAYS)
def bed(bed: beds.Bed, request: pytest.FixtureRequest) -> beds.Bed:
    return bed.speaking(request.param)


async def forwarding(bed: beds.Bed, port: int) -> tuple[asyncio.subprocess.Process, int]:
    """A kubectl port-forward and its local port."""
    process = await bed.start("port-forward", "p", f":{port}", "--address=127.0.0.1")
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    found = re.match(r"Forwarding from 127.0.0.1:(\d+) -> ", line)
    if found is None:
        out, err = await process.communicate()
        pytest.fail(f"no forwarding: {line}{out!r}{err!r}")
    return process, int(found.group(1))


async def fetched(port: int) -> int:
    """The length of the page there, by curl."""
    process = await asyncio.create_subprocess_exec(
        "curl", "-sS", "--max-time", "10", f"http://127.0.0.1:{port}/", stdout=subprocess.PIPE
    )
    out, _ = await process.communicate()
    return len(out)


async def test_pages_one_by_one_and_side_by_side(bed: beds.Bed) -> None:
    port = beds.free_port()
    await bed.pod("p", ["perl", "-e", beds.SERVE, str(port)])
    while b"serving" not in (await bed.kubectl("logs", "p")).out:
        await asyncio.sleep(0.05)
    process, local = await forwarding(bed, port)
    assert await fetched(local) == 1_000_000
    assert await asyncio.gather(*(fetched(local) for _ in range(8))) == [1_000_000] * 8
    tasks = len(asyncio.all_tasks())
    process.kill()
    await process.communicate()
    async with asyncio.timeout(30):
        while len(asyncio.all_tasks()) >= tasks:
            await asyncio.sleep(0.01)


async def test_a_port_that_nobody_serves(bed: beds.Bed) -> None:
    port = beds.free_port()
    await bed.pod("p", ["sleep", "100000"])
    process, local = await forwarding(bed, port)
    assert await fetched(local) == 0
    assert process.stderr is not None
    async with asyncio.timeout(20):
        assert f"error forwarding port {port} to pod p" in (await process.stderr.readline()).decode()
    # An old kubectl goes on after that; today's ends.
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    await process.communicate()


async def test_the_agent_is_back_after_the_server(bed: beds.Bed) -> None:
    await bed.pod("p", ["sleep", "100000"])
    process = await bed.start("exec", "-i", "p", "--", "cat", stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"up\n")
    assert await process.stdout.readline() == b"up\n"
    # The agent's connections, and the user's, go as when the server is killed; the server itself stays.
    agents = bed.api.app.agents
    for held in list(agents._connected.values()):
        for socket in list(held):
            await socket.close(code=1012)
    async with asyncio.timeout(30):
        while agents.nodes():
            await asyncio.sleep(0.001)
    async with asyncio.timeout(30):
        await bed.connected()
    # A stream has a connection of its own: it goes on.
    process.stdin.write(b"still\n")
    assert await process.stdout.readline() == b"still\n"
    process.stdin.close()
    async with asyncio.timeout(30):
        await process.communicate()
    assert process.returncode == 0


async def test_only_the_administrator_may_join_instances(bed: beds.Bed) -> None:
    await bed.pod("p", ["sleep", "100000"])
    bed.socket = type(bed.socket)(
        url=bed.socket.url,
        ca_file=bed.socket.ca_file,
        kubeconfig=bed.socket.node_kubeconfig,
        node_kubeconfig=bed.socket.node_kubeconfig,
    )
    for words in (["exec", "p", "--", "echo"], ["attach", "p"], ["logs", "p"], ["port-forward", "p", "80"]):
        done = await bed.kubectl(*words)
        assert done.code == 1
        assert "cannot" in done.err
        assert "forbidden" in done.err
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as session:
        for path in ("exec?stdout=1&command=id", "attach?stdout=1", "portforward"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as error:
                await session.ws_connect(f"{bed.socket.url}/api/v1/namespaces/default/pods/p/{path}")
            assert error.value.status == 401
