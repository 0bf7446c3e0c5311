"""exec over SPDY: an upgrade on our own HTTP connection, and streams as channels."""

import asyncio
import contextlib
import json
import pathlib
import ssl
from collections.abc import AsyncIterator

import pytest

from boxfleet.api import pod as pods
from boxfleet.apiserver.streams import agents, spdy_channels, websocket
from boxfleet.kit import spdy
from boxfleet.testing import server

pytestmark = pytest.mark.anyio

_UPGRADE = b"Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n"
_EXEC = b"/api/v1/namespaces/default/pods/p/exec?command=cat&stdin=true&stdout=true"


@contextlib.asynccontextmanager
async def _api(folder: pathlib.Path) -> AsyncIterator[tuple[server.Api, int, ssl.SSLContext]]:
    async with server.running(folder) as api, server.on_socket(api, folder) as on:
        spec = {"nodeName": server.NODE, "containers": [{"name": "main", "image": "none"}]}
        await api.admin.create_raw(pods.Pod, {"metadata": {"name": "p", "namespace": "default"}, "spec": spec})
        yield api, int(on.url.rpartition(":")[2]), ssl.create_default_context(cafile=on.ca_file)


async def _answer(
    port: int, context: ssl.SSLContext, *, extra: bytes, token: str = server.ADMIN_TOKEN, body: bytes = b""
) -> tuple[int, bytes]:
    """The whole answer to a POST on exec, after which the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        head = b"POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n%s\r\n"
        writer.write(head % (_EXEC, token.encode(), len(body), extra) + body)
        async with asyncio.timeout(30):
            said, _, rest = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
        await writer.wait_closed()
    return int(said.split()[1]), rest


async def test_refusals_are_whole_answers(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "_RETURN_SECONDS", 0.01)
    async with _api(tmp_path) as (_, port, context):
        status, body = await _answer(port, context, extra=_UPGRADE)
        assert status == 503
        assert "has no agent connection" in json.loads(body)["message"]
        assert (await _answer(port, context, extra=_UPGRADE, token="wrong"))[0] == 401
        assert (await _answer(port, context, extra=_UPGRADE, token=server.NODE_TOKEN))[0] == 403
        old = _UPGRADE.replace(b"v4.channel", b"v1.channel")
        assert (await _answer(port, context, extra=old))[0] == 400


async def test_an_upgrade_with_a_body_is_a_plain_request(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "_RETURN_SECONDS", 0.01)
    async with _api(tmp_path) as (_, port, context):
        status, body = await _answer(port, context, extra=_UPGRADE + b"Connection: close\r\n", body=b"x")
        assert (status, json.loads(body)["kind"]) == (503, "Status")


class _Wire:
    """Both directions of an accepted connection, with a SPDY client at its far end."""

    def __init__(self) -> None:
        self.client = spdy.Connection(client=True)
        self.heard: list[spdy.Event] = []
        self._inward: asyncio.Queue[bytes] = asyncio.Queue()

    def push(self) -> None:
        self._inward.put_nowait(self.client.outbox())

    async def receive(self) -> bytes:
        data = await self._inward.get()
        if not data:
            raise websocket.Gone
        return data

    async def send(self, data: bytes) -> None:
        self.heard += self.client.receive(data)


async def test_streams_become_channels_and_back() -> None:
    wire = _Wire()
    made = spdy_channels.SpdyChannels(wire)  # type: ignore[arg-type]
    beginning = asyncio.create_task(made.begin(stdin=True, stdout=True, stderr=False, tty=True))
    streams = {}
    for name in ("error", "stdin", "stdout", "resize"):
        assert not beginning.done()
        streams[name] = wire.client.open({"streamType": name})
        wire.push()
        while not any(isinstance(one, spdy.Replied) and one.stream == streams[name] for one in wire.heard):
            await asyncio.sleep(0)
    await beginning
    strange = wire.client.open({"streamtype": "stdin"})
    wire.client.send(streams["resize"], b'{"Width":80,')
    wire.client.send(streams["stdin"], b"hello")
    wire.client.send(streams["resize"], b'"Height":24}\n')
    wire.client.send(streams["stdin"], b"", fin=True)
    wire.client.send(streams["stdin"], b"too late")
    wire.push()
    messages = [await made.receive() for _ in range(3)]
    assert messages == [b"\x00hello", b'\x04{"Width":80,"Height":24}', b"\xff\x00"]
    assert spdy.Reset(strange, spdy.REFUSED_STREAM) in wire.heard
    wire.heard.clear()
    await made.send(b"\x01out")
    # Nobody asked for it apart from the output: it is dropped, not mixed in.
    await made.send(b"\x02err")
    await made.send(b'\x03{"status":"Success"}')
    assert wire.heard == [
        spdy.Data(streams["stdout"], b"out", fin=False),
        spdy.Data(streams["stdout"], b"", fin=True),
        spdy.Data(streams["error"], b'{"status":"Success"}', fin=True),
    ]
    wire.push()
    with pytest.raises(websocket.Gone):
        await made.receive()


async def test_who_opens_no_streams_or_speaks_nonsense_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = _Wire()
    made = spdy_channels.SpdyChannels(wire)  # type: ignore[arg-type]
    monkeypatch.setattr(spdy_channels, "_STREAMS_SECONDS", 0.01)
    with pytest.raises(websocket.Gone):
        await made.begin(stdin=True, stdout=True, stderr=True, tty=False)
    wire._inward.put_nowait(b"\x80\x09\x00\x01garbage!")
    with pytest.raises(websocket.Gone):
        await made.receive()


async def test_a_size_that_never_ends_does_not_grow() -> None:
    wire = _Wire()
    made = spdy_channels.SpdyChannels(wire)  # type: ignore[arg-type]
    stream = wire.client.open({"streamtype": "resize"})
    for _ in range(64):
        wire.client.send(stream, b"x" * 65536)
    wire.push()
    wire._inward.put_nowait(b"")
    with pytest.raises(websocket.Gone):
        await made.receive()
    assert len(made._size) <= 1024
