"""HTTP/1.1 on one connection: requests are read by httptools, one after the other, and given to the API.

It takes uvicorn's place for plain requests, whose way through ASGI costs more than the answer itself; sockets, TLS,
the end of the server and WebSockets stay uvicorn's. Bytes beside bodies are bounded, and so is the time that a
request may take to arrive.
"""

import asyncio
import hashlib
import re
import urllib.parse
from typing import Any, cast

import httptools
import uvicorn
from uvicorn import server as uvicorn_server

from boxfleet.apiserver import app as apps
from boxfleet.apiserver import authn, exchange, headers, route, upgraded, wire

# Bytes of request line, headers, framing of chunks and trailers. At most 256 KiB arrive at once, which may hold the
# end of one request and the beginning of the next; a longest query with a token is far below the other half.
LIMIT = 512 * 1024
# Seconds that a connection may be silent between requests, and that a request may take to arrive.
_IDLE_SECONDS = 75.0
_ARRIVAL_SECONDS = 120.0
# While the server stops, a connection that rests waits so long for a request that is on its way.
_LINGER_SECONDS = 0.5
_METHODS = {name.encode(): name for name in ("GET", "PUT", "PATCH", "POST", "DELETE")}
# A path that needs no parsing.
_PLAIN = re.compile(rb"/[\w/.:-]*").fullmatch


class Connection(asyncio.Protocol):
    """One connection, as uvicorn makes it."""

    __slots__ = (
        "_app",
        "_app_state",
        "_arriving",
        "_beside_body",
        "_client",
        "_closing",
        "_config",
        "_drained",
        "_headers",
        "_heard",
        "_known_headers",
        "_loop",
        "_mid_request",
        "_parser",
        "_paused",
        "_piece",
        "_present",
        "_refusal",
        "_respond",
        "_state",
        "_timer",
        "_transport",
        "_url",
        "_waiting",
    )

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: uvicorn_server.ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._config = config
        self._state = server_state
        self._app_state = app_state
        self._app = cast(apps.ApiServer, config.loaded_app)
        self._respond = self._app.respond
        self._loop = _loop or asyncio.get_running_loop()
        # None while a stream lasts and no other request has begun.
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._client: tuple[str, int] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._drained: asyncio.Future[None] | None = None
        # The exchange that is being answered, the one that still arrives, and whole ones between them.
        self._present: exchange.Exchange | None = None
        self._arriving: exchange.Exchange | None = None
        # Mostly none: a deque would take more than all the rest.
        self._waiting: list[exchange.Exchange] = []
        self._closing = False
        # What is said last to somebody who does not keep to HTTP.
        self._refusal = b""
        self._paused = False
        self._heard = self._loop.time()
        self._beside_body = 0
        self._piece = 0
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._known_headers = headers.Memory()
        self._mid_request = False

    # What the transport says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        self._state.connections.add(self)  # type: ignore[arg-type]
        peer = transport.get_extra_info("peername")
        self._client = (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) else None
        secured = transport.get_extra_info("ssl_object")
        shown = secured.getpeercert(binary_form=True) if secured is not None else None
        if shown:
            # WebSockets are handed the same.
            self._app_state = {"certificate": authn.Certificate(shown, hashlib.sha256(shown).digest())}
        self._timer = self._loop.call_later(_IDLE_SECONDS, self._look)
        if self._app.stopping:
            # It was shaking hands when the others were told.
            self.shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side is gone: whoever answers learns of it."""
        self._state.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        self.resume_writing()
        self._waiting.clear()
        for one in (self._present, self._arriving):
            if one is not None:
                one.lost()

    def data_received(self, data: bytes) -> None:
        """Read on; answers begin once all that has arrived is read."""
        if self._refusal:
            return
        self._piece = len(data)
        self._beside_body += self._piece
        if self._parser is None:
            self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            self._refuse(400, b"Invalid HTTP request received.")
            return
        if self._beside_body > LIMIT:
            self._refuse(400, b"Request headers are too large.")
            return
        self._next()

    def eof_received(self) -> bool:
        """The client says no more, and wants no more: TLS knows no half-closed connections."""
        return False

    def pause_writing(self) -> None:
        """The client reads slowly."""
        if self._drained is None:
            self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        """The client has caught up."""
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    def shutdown(self) -> None:
        """The server stops: what is being answered is answered, then the connection ends.

        One that rests may carry a request at this very moment: it is answered as well if it comes soon.
        """
        self._closing = True
        under_way = [one for one in (self._present, *self._waiting, self._arriving) if one is not None]
        if under_way:
            under_way[-1].keep_alive = False
        else:
            self._loop.call_later(_LINGER_SECONDS, self._end_rest)

    def _end_rest(self) -> None:
        if self._present is None and not self._mid_request:
            self._transport.close()

    # What the parser says.

    def on_message_begin(self) -> None:
        """Another request."""
        self._beside_body = self._piece
        self._mid_request = True
        self._heard = self._loop.time()
        self._url = b""
        self._headers = []

    def on_url(self, url: bytes) -> None:
        """A part of the request line."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """What is wanted is known."""
        parser = self._parser
        assert parser is not None
        if parser.should_upgrade() and (self._wants_websocket() or upgraded.is_wanted(self._headers)):
            return
        scope = self._scope()
        # What comes behind a body are no headers, and must not be taken for such by the next request (RFC 9110, 6.5).
        self._headers = []
        keep_alive = scope["http_version"] == "1.1" and parser.should_keep_alive() and not self._closing
        self._arriving = exchange.Exchange(self, scope, keep_alive=keep_alive)
        self._waiting.append(self._arriving)

    def _scope(self) -> route.Scope:
        parser = self._parser
        assert parser is not None
        raw, query = self._url, b""
        if _PLAIN(raw) is not None:
            path = raw.decode("ascii")
        else:
            url = httptools.parse_url(raw)
            raw, query = url.path, url.query or b""
            path = urllib.parse.unquote(raw.decode("ascii"))
        return {
            "type": "http",
            "method": _METHODS.get(method := parser.get_method()) or method.decode("ascii"),
            "path": path,
            "query_string": query,
            "headers": self._headers,
            headers.KEY: self._known_headers.read(self._headers),
            "client": self._client,
            "state": self._app_state,
            "http_version": parser.get_http_version(),
        }

    def on_body(self, body: bytes) -> None:
        """A part of a body, whose size is the API's matter."""
        self._beside_body -= len(body)
        if self._arriving is not None:
            self._arriving.take(body)

    def on_message_complete(self) -> None:
        """A request has arrived whole."""
        self._mid_request = False
        if self._arriving is not None:
            self._arriving.complete()
            self._arriving = None

    # What an exchange needs.

    def write(self, data: bytes) -> None:
        """Send bytes as soon as the client takes them."""
        self._transport.write(data)

    def date_line(self) -> bytes:
        """The Date header, made once a second."""
        return wire.date_line(self._state.default_headers)

    async def drain(self) -> None:
        """Wait until the client has read most of what was written."""
        if self._drained is not None:
            await self._drained

    def hold(self, *, reading: bool) -> None:
        """Read from the client, or let it wait."""
        if reading == self._paused and not self._transport.is_closing():
            self._paused = not reading
            if reading:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def lasts(self) -> None:
        """Let go of what only the next request needs again: thousands of streams may be open."""
        if not self._mid_request:
            self._headers = []
            self._known_headers.clear()
            self._url = b""
            self._parser = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def done(self, one: exchange.Exchange) -> None:
        """An exchange is answered: go on with the next, or end."""
        self._heard = self._loop.time()
        self._present = None
        if self._timer is None and one.keep_alive:
            self._timer = self._loop.call_later(_IDLE_SECONDS, self._look)
        if not one.keep_alive:
            self._transport.close()
            return
        if self._closing:
            self._loop.call_later(_LINGER_SECONDS, self._end_rest)
        if self._paused:
            self.hold(reading=True)
        if self._waiting or self._refusal:
            self._next()

    def abort(self) -> None:
        """End at once."""
        self._transport.abort()

    def _next(self) -> None:
        if self._present is not None or not self._waiting:
            if len(self._waiting) > 1:
                # Whoever sends many requests ahead waits until they are answered.
                self.hold(reading=False)
            if self._present is None and self._refusal:
                self._transport.write(self._refusal)
                self._transport.close()
            return
        self._present = self._waiting.pop(0)
        self._state.total_requests += 1
        task = self._loop.create_task(self._present.run(self._respond))
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)

    def _look(self) -> None:
        """Hang up on who is silent for too long. One timer for each connection, none for each request."""
        now = self._loop.time()
        if self._mid_request:
            left = self._heard + _ARRIVAL_SECONDS - now
            if left <= 0:
                self._refuse(408, b"The request took too long to arrive.")
                return
        elif self._present is None:
            left = self._heard + _IDLE_SECONDS - now
            if left <= 0:
                self._transport.close()
                return
        else:
            left = _IDLE_SECONDS
        self._timer = self._loop.call_later(max(left, 1.0), self._look)

    def _refuse(self, status: int, text: bytes) -> None:
        """Answer what came whole before, then say what is wrong, and hang up."""
        # Let go of what was gathered at once: the connection may take a while to end.
        self._headers = []
        lines = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(text))]
        self._refusal = wire.head(status, wire.lines(lines), date=self.date_line(), keep_alive=False) + text
        arriving, self._arriving = self._arriving, None
        if arriving is not None:
            if arriving is self._present:
                # Whoever answers it has read some of it already.
                arriving.lost()
                self._present = None
            else:
                self._waiting.remove(arriving)
        self._next()

    def _wants_websocket(self) -> bool:
        upgrade = next((value.lower() for name, value in self._headers if name == b"upgrade"), b"")
        return upgrade == b"websocket" and self._config.ws_protocol_class is not None

    def _upgrade(self, rest: bytes) -> None:
        """Hand the connection to the WebSocket protocol, which reads the handshake itself, or to SPDY's."""
        if upgraded.is_wanted(self._headers) and self._present is None and not self._waiting:
            if self._timer is not None:
                self._timer.cancel()
            self._state.connections.discard(self)
            protocol = upgraded.Upgraded(self._app, self._state, self._transport, self._scope())
            protocol.start()
            if rest:
                protocol.data_received(rest)
            return
        if not self._wants_websocket():
            # Answered as the plain request that it is as well (RFC 9110, 7.8); more cannot be read after it.
            if self._waiting:
                self._waiting[-1].keep_alive = False
            self._next()
            return
        if self._timer is not None:
            self._timer.cancel()
        self._state.connections.discard(self)
        assert self._parser is not None
        lines = [self._parser.get_method(), b" ", self._url, b" HTTP/1.1\r\n"]
        for name, value in self._headers:
            lines += [name, b": ", value, b"\r\n"]
        handler: Any = self._config.ws_protocol_class(  # type: ignore[call-arg, misc]
            config=self._config, server_state=self._state, app_state=self._app_state
        )
        handler.connection_made(self._transport)
        handler.data_received(b"".join([*lines, b"\r\n"]))
        self._transport.set_protocol(handler)
