"""A connection that was upgraded to SPDY/3.1, as clients before kubectl 1.30 stream.

To the API it is a WebSocket whose messages are the bytes as they come (ASGI's messages): the protocols that the client
offers have `SPDY/3.1+` in front, as they have where SPDY runs inside a real WebSocket. Kubernetes'
``apimachinery/pkg/util/httpstream/spdy`` is the other side.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from uvicorn import server as uvicorn_server

from boxfleet.apiserver import route, wire

SPDY: Final = b"spdy/3.1"
PREFIX: Final = "SPDY/3.1+"
_PROTOCOL_HEADER: Final = b"x-stream-protocol-version"
# Bytes that may lie here before the client has to wait for whoever reads them.
_HIGH_WATER: Final = 64 * 1024

App = Callable[[route.Scope, route.Receive, route.Send], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]


def is_wanted(headers: Headers) -> bool:
    """Whether a request that asks for an upgrade asks for this one. With a body it is none."""
    said = {name: value.strip().lower() for name, value in headers}
    bodiless = said.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in said
    return said.get(b"upgrade") == SPDY and bodiless


class Upgraded(asyncio.Protocol):
    """One connection, from the end of the request's head on."""

    def __init__(
        self, app: App, state: uvicorn_server.ServerState, transport: asyncio.Transport, scope: route.Scope
    ) -> None:
        self._app = app
        self._state = state
        self._transport = transport
        offered = b",".join(value for name, value in scope["headers"] if name == _PROTOCOL_HEADER).decode("latin-1")
        protocols = [PREFIX + each.strip() for each in offered.split(",") if each.strip()]
        self._scope: route.Scope = {
            **scope,
            "type": "websocket",
            "subprotocols": protocols,
            "extensions": {"websocket.http.response": {}},
        }
        self._arrived = bytearray()
        self._wake = asyncio.Event()
        self._told = False
        self._accepted = False
        self._gone = False
        self._held = False
        self._drained = asyncio.Event()
        self._drained.set()

    def start(self) -> None:
        """Take the connection over and have the API serve it."""
        self._state.connections.add(self)  # type: ignore[arg-type]
        self._transport.set_protocol(self)
        task = asyncio.get_running_loop().create_task(self._run())
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: whoever serves it learns of it."""
        self._state.connections.discard(self)
        self._end()

    def data_received(self, data: bytes) -> None:
        """More bytes."""
        self._arrived += data
        if len(self._arrived) > _HIGH_WATER and not self._held:
            self._held = True
            self._transport.pause_reading()
        self._wake.set()

    def eof_received(self) -> bool:
        """The client says no more, and wants no more: TLS knows no half-closed connections."""
        return False

    def pause_writing(self) -> None:
        """The client reads slowly."""
        self._drained.clear()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._drained.set()

    def shutdown(self) -> None:
        """The server stops."""
        self._end()
        self._transport.close()

    def _end(self) -> None:
        self._gone = True
        self._wake.set()
        self._drained.set()

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
        finally:
            self._transport.close()

    async def _receive(self) -> route.Message:
        if not self._told:
            self._told = True
            return {"type": "websocket.connect"}
        while not self._arrived and not self._gone:
            self._wake.clear()
            await self._wake.wait()
        if not self._arrived:
            return {"type": "websocket.disconnect", "code": 1006}
        data = bytes(self._arrived)
        self._arrived.clear()
        if self._held and not self._gone:
            self._held = False
            self._transport.resume_reading()
        return {"type": "websocket.receive", "bytes": data}

    async def _send(self, message: route.Message) -> None:
        if self._gone:
            raise ConnectionError("the client has left")
        match message["type"]:
            case "websocket.accept":
                self._accept(message)
            case "websocket.send":
                self._transport.write(message["bytes"])
                await self._drained.wait()
            case "websocket.http.response.start":
                self._write_head(message["status"], message["headers"])
            case "websocket.http.response.body":
                self._transport.write(message["body"])
                self._transport.close()
            case "websocket.close":
                if not self._accepted:
                    self._write_head(403, [(b"content-length", b"0")])
                self._transport.close()

    def _accept(self, message: route.Message) -> None:
        self._accepted = True
        chosen = str(message.get("subprotocol") or "").removeprefix(PREFIX).encode()
        headers: list[tuple[bytes, bytes]] = [(b"connection", b"Upgrade"), (b"upgrade", b"SPDY/3.1")]
        headers += [(_PROTOCOL_HEADER, chosen), *message.get("headers", ())]
        self._transport.write(wire.head(101, wire.lines(headers), date=self._date(), keep_alive=True))

    def _write_head(self, status: int, headers: Any) -> None:
        self._transport.write(wire.head(status, wire.lines(headers), date=self._date(), keep_alive=False))

    def _date(self) -> bytes:
        return wire.date_line(self._state.default_headers)
