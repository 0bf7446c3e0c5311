import asyncio
import pathlib

import aiohttp
import pytest
from tests.unit.apiserver import streams_bed as beds

from boxfleet.api import tunnel
from boxfleet.apiserver.streams import agents

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
            async with bed.serving(port=port), asyncio.timeout(1.5):
                await bed.connected()
                async with bed.websocket(EXEC) as user:
                    while (await user.receive()).data[:1] != b"\x03":
                        pass
        finally:
            await agent.__aexit__(None, None, None)


async def test_a_newer_connection_takes_the_place_of_the_older(tmp_path: pathlib.Path) -> None:
    async with beds.bed(tmp_path, agent=False) as bed:
        headers = {"Authorization": f"Bearer {beds.AGENT}"}
        older = await bed.session.ws_connect(bed.url + tunnel.connect_path("n1"), headers=headers)
        await bed.connected()
        newer = await bed.session.ws_connect(bed.url + tunnel.connect_path("n1"), headers=headers)
        assert (await older.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        await newer.send_bytes(b'{"type":"ping"}')
        assert (await newer.receive()).data == '{"type":"pong"}'
        assert bed.agents.nodes() == ["n1"]
        await newer.close()
        async with asyncio.timeout(30):
            while bed.agents.nodes():
                await asyncio.sleep(0.005)
