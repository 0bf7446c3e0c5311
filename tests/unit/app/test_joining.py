"""An agent's certificate: got with a token, renewed in time, and got anew when its Node was deleted."""

import asyncio
import datetime
import pathlib
import urllib.parse
from collections.abc import AsyncIterator

import pytest
from cryptography import x509

from boxfleet.api import node
from boxfleet.app import access, joining, paths, pki, settings
from boxfleet.client import errors, servers
from boxfleet.kit import clock
from boxfleet.testing import server

pytestmark = pytest.mark.anyio


class Later:
    """The machine's clock, some time ahead."""

    def __init__(self) -> None:
        self.ahead = datetime.timedelta()
        self._own = clock.SystemClock()

    def now(self) -> datetime.datetime:
        return self._own.now() + self.ahead

    def monotonic(self) -> float:
        return self._own.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01))


@pytest.fixture
async def api(tmp_path: pathlib.Path, anyio_backend: str) -> AsyncIterator[server.Api]:
    async with server.running(tmp_path) as running:
        yield running


@pytest.fixture
async def agent(api: server.Api, tmp_path: pathlib.Path) -> AsyncIterator[settings.Agent]:
    async with server.on_socket(api, tmp_path) as socket:
        port = urllib.parse.urlsplit(socket.url).port or 0
        known = settings.Agent(state=str(tmp_path), run=str(tmp_path / "run"), port=port, node=server.NODE)
        where = paths.of(known)
        where.credentials.mkdir()
        where.agent_token.write_text(server.HOST_TOKEN)
        yield known


def serial(member: joining.Joining) -> int:
    return x509.load_pem_x509_certificate(member.pair.read_bytes()).serial_number


async def test_joined_renewed_and_joined_anew(api: server.Api, agent: settings.Agent) -> None:
    time = Later()
    member = joining.Joining(agent, through=servers.Servers([access.url_of(agent)]), clock=time)
    await member.ensure()
    assert member.pair.stat().st_mode & 0o777 == 0o600
    first = serial(member)
    await member.ensure()
    assert serial(member) == first
    mine = member.api()
    assert (await mine.get(node.Node, server.NODE)).metadata.name == server.NODE
    # After four fifths of its life it asks for another one, by the one that it has.
    paths.of(agent).agent_token.write_text("nonsense")
    time.ahead = datetime.timedelta(days=300)
    await member.ensure()
    assert serial(member) != first
    time.ahead = datetime.timedelta()
    paths.of(agent).agent_token.write_text(server.HOST_TOKEN)
    left = asyncio.Event()
    keeping = asyncio.create_task(member.keep(asyncio.Event(), leave=left.set))
    await asyncio.sleep(0)
    await api.admin.delete(node.Node, server.NODE)
    with pytest.raises(errors.ApiError, match=node.GONE):
        await mine.get(node.Node, server.NODE)
    # It waits for the next start of the agent, and gives up what runs.
    async with asyncio.timeout(5):
        await left.wait()
    assert not keeping.done()
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await mine.close()
    # Which finds a certificate that is refused, and joins anew.
    member = joining.Joining(agent, through=servers.Servers([access.url_of(agent)]), clock=time)
    mine = member.api()
    stop = asyncio.Event()
    keeping = asyncio.create_task(member.keep(stop, leave=left.clear))
    with pytest.raises(errors.ApiError, match=node.GONE):
        await mine.get(node.Node, server.NODE)
    async with asyncio.timeout(5):
        await stop.wait()
        await keeping
    assert left.is_set()
    await mine.close()
    again = joining.Joining(agent, through=servers.Servers([access.url_of(agent)]), clock=time)
    await again.ensure()
    mine = again.api()
    assert (await mine.get(node.Node, server.NODE)).metadata.uid
    await mine.close()


async def test_a_new_authority_gives_a_new_certificate(
    api: server.Api, agent: settings.Agent, tmp_path: pathlib.Path
) -> None:
    member = joining.Joining(agent, through=servers.Servers([access.url_of(agent)]), clock=clock.SystemClock())
    await member.ensure()
    first = serial(member)
    pki.begin_rotation(tmp_path / "pki")
    pki.ensure(tmp_path / "pki", names=["127.0.0.1"], now=datetime.datetime.now(datetime.UTC))
    # This server signs with the old one until it begins anew: what it gives is used, and asked for again later.
    await member.ensure()
    assert serial(member) != first
