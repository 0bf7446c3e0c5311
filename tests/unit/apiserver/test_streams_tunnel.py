import asyncio
import contextlib
import pathlib

import aiohttp
import pytest
from tests.unit.apiserver import streams_bed as beds

from boxfleet.agent.streams import tunnels
from boxfleet.api import tunnel
from boxfleet.apiserver.streams import agents
from boxfleet.client import servers

pytestmark = pytest.mark.anyio

EXEC = beds.POD_URL + "/exec?stdout=true&command=true"


async def test_without_an_agent_the_answer_says_so(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "_RETURN_SECONDS", 0.05)
    async with beds.bed(tmp_path, agent=False) as bed:
        with pytest.raises(aiohttp.WSServerHandshakeError) as error:
            await bed.websocket(EXEC)
        assert error.value.status == 503
        async with bed.get(beds.POD_URL + "/log") as answer:
            assert answer.status == 503
            assert "node n1 has no agent connection" in (await answer.json(content_type=None))["message"]


async def test_an_agent_that_does_not_answer(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "_DIAL_SECONDS", 0.05)
    async with beds.bed(tmp_path, agent=False) as bed:
        headers = {"Authorization": f"Bearer {beds.AGENT}"}
        async with bed.session.ws_connect(bed.url + tunnel.connect_path("n1"), headers=headers):
            await bed.connected()
            async with bed.get(beds.POD_URL + "/log") as answer:
                assert answer.status == 504
                assert "did not answer within" in (await answer.json(content_type=None))["message"]
            async with bed.websocket(EXEC) as user:
                assert b"did not answer within" in (await user.receive()).data
        assert not bed.agents._waiting


async def test_only_a_nodes_own_agent_may_connect(tmp_path: pathlib.Path) -> None:
    async with beds.bed(tmp_path, agent=False) as bed:
        for token, path, code in (
            (beds.AGENT, tunnel.connect_path("n2"), 403),
            (beds.ADMIN, tunnel.connect_path("n1"), 403),
            ("nonsense", tunnel.connect_path("n1"), 401),
            (beds.AGENT, tunnel.stream_path("n1", "guessed"), 404),
        ):
            with pytest.raises(aiohttp.WSServerHandshakeError) as error:
                await bed.session.ws_connect(bed.url + path, headers={"Authorization": f"Bearer {token}"})
            assert error.value.status == code


async def test_the_agent_comes_back_after_the_server(tmp_path: pathlib.Path) -> None:
    async with beds.bed(tmp_path, agent=False) as outer:
        bed = beds.Bed(tmp_path)
        bed.session = outer.session
        async with bed.serving():
            port = bed.port
            agent = bed.agent()
            await agent.__aenter__()
        try:
            assert not bed.agents.nodes()
            async with bed.serving(port=port), asyncio.timeout(30):
                await bed.connected()
                async with bed.websocket(EXEC) as user:
                    while (await user.receive()).data[:1] != b"\x03":
                        pass
        finally:
            await agent.__aexit__(None, None, None)


async def test_the_newest_of_a_few_connections_is_asked(tmp_path: pathlib.Path) -> None:
    async with beds.bed(tmp_path, agent=False) as bed, contextlib.AsyncExitStack() as stack:
        path, headers = bed.url + tunnel.connect_path("n1"), {"Authorization": f"Bearer {beds.AGENT}"}
        held = [await stack.enter_async_context(bed.session.ws_connect(path, headers=headers)) for _ in range(5)]
        # An agent may know the server by several addresses, but not by any number of them.
        assert (await held[0].receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        for one in held[1:]:
            await one.send_bytes(b'{"type":"ping"}')
            assert (await one.receive()).data == '{"type":"pong"}'
        asking = asyncio.create_task(_logs(bed))
        while len(held) > 1:
            newest = held.pop()
            assert b'"kind":"log"' in (await newest.receive()).data.encode()
            await newest.close()
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            if len(held) > 1:
                await _closed(bed, left=len(held) - 1)
                asking = asyncio.create_task(_logs(bed))
        await _closed(bed, left=0)
        assert bed.agents.nodes() == []


async def _logs(bed: beds.Bed) -> int:
    async with bed.get(beds.POD_URL + "/log") as answer:
        return answer.status


async def _closed(bed: beds.Bed, *, left: int) -> None:
    async with asyncio.timeout(30):
        while len(bed.agents._connected.get("n1", ())) != left:
            await asyncio.sleep(0.005)


async def test_an_agent_serves_through_every_server_that_is_announced(tmp_path: pathlib.Path) -> None:
    async with beds.bed(tmp_path, agent=False) as first, beds.bed(tmp_path, agent=False) as second:
        known = servers.Servers([first.url])
        made = tunnels.Tunnels(
            known,
            node=beds.NODE,
            token=beds.AGENT,
            tls=None,
            engine=first.engine,  # type: ignore[arg-type]
            log_directory=tmp_path,
        )
        running = asyncio.create_task(made.run())
        try:
            await first.connected()
            assert not second.agents.nodes()
            known.announce([first.url, second.url])
            await second.connected()
            for bed in (first, second):
                await _runs(bed)
            # It is announced no more: whoever speaks through it goes on, and it is not dialled again.
            async with second.websocket(beds.POD_URL + "/exec?stdin=true&stdout=true&command=cat") as user:
                known.announce([])
                await user.send_bytes(b"\x00still here")
                while (message := await user.receive()).data != b"\x01still here":
                    assert message.type is aiohttp.WSMsgType.BINARY
            known.announce([second.url])
            await _runs(second)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def _runs(bed: beds.Bed) -> None:
    async with bed.websocket(EXEC) as user, asyncio.timeout(30):
        while (message := await user.receive()).data[:1] != b"\x03":
            assert message.type is aiohttp.WSMsgType.BINARY
        assert b"Success" in message.data


async def test_a_server_that_went_and_came_back_is_dialled_again(tmp_path: pathlib.Path) -> None:
    async with beds.bed(tmp_path, agent=False) as first:
        known = servers.Servers([first.url])
        made = tunnels.Tunnels(
            known,
            node=beds.NODE,
            token=beds.AGENT,
            tls=None,
            engine=first.engine,  # type: ignore[arg-type]
            log_directory=tmp_path,
        )
        running = asyncio.create_task(made.run())
        try:
            other = beds.Bed(tmp_path)
            other.session = first.session
            async with other.serving():
                url, port = other.url, other.port
                known.announce([url])
                await other.connected()
            known.announce([])
            async with asyncio.timeout(30):
                while url in made._dialled:
                    await asyncio.sleep(0.005)
            async with other.serving(port=port):
                known.announce([url])
                await other.connected()
                await _runs(other)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
