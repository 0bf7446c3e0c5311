"""One request and its answer: whole in one write, or as a stream by ASGI's messages."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from boxfleet.apiserver import route, wire

# Bytes of a body that may lie here before the client has to wait for whoever reads them.
_HIGH_WATER = 64 * 1024

# Where a request's scope has `Exchange.leaving`, while it is being answered by this server.
LEAVING: Final = "boxfleet.leaving"

# Answers a request: whole, or None when it has answered by sending. Fails only by being cancelled.
Respond = Callable[[route.Scope, route.Receive, route.Send], Awaitable[route.Whole | None]]


class Owner(Protocol):
    """The connection of an exchange."""

    def write(self, data: bytes) -> None:
        """Send bytes as soon as the client takes them."""

    def date_line(self) -> bytes:
        """The Date header."""

    async def drain(self) -> None:
        """Wait until the client has read most of what was written."""

    def hold(self, *, reading: bool) -> None:
        """Read from the client, or let it wait."""

    def lasts(self) -> None:
        """The answer goes on for as long as the client likes."""

    def done(self, one: "Exchange") -> None:
        """The exchange is answered."""

    def abort(self) -> None:
        """End the connection at once."""


class Exchange:
    """A request on its way in and its answer on its way out."""

    __slots__ = (
        "_arrived",
        "_body",
        "_chunked",
        "_ended",
        "_gone",
        "_greeted",
        "_head",
        "_leaving",
        "_owner",
        "_size",
        "_told",
        "_whole",
        "keep_alive",
        "scope",
    )

    def __init__(self, owner: Owner, scope: route.Scope, *, keep_alive: bool) -> None:
        self._owner = owner
        self.scope = scope
        self.keep_alive = keep_alive
        self._body: list[bytes] = []
        self._size = 0
        # The body has arrived to its end, and the API was told so.
        self._whole = False
        self._told = False
        # Said "100 Continue", if the client waits for it.
        self._greeted = False
        # The client has left.
        self._gone = False
        # The answer has begun, comes in chunks, is complete.
        self._head = False
        self._chunked = False
        self._ended = False
        # Who waits for more of the body, or for the client to leave.
        self._arrived: asyncio.Future[None] | None = None
        # Who wants to be called when the client leaves, and nothing more from it.
        self._leaving: Callable[[], None] | None = None

    def take(self, chunk: bytes) -> None:
        """A part of the body."""
        if self._ended or self._leaving is not None:
            return
        self._body.append(chunk)
        self._size += len(chunk)
        if self._size > _HIGH_WATER:
            self._owner.hold(reading=False)
        if self._arrived is not None:
            self._wake()

    def complete(self) -> None:
        """The body is whole."""
        self._whole = True
        if self._arrived is not None:
            self._wake()

    def lost(self) -> None:
        """The client has left."""
        self._gone = True
        self._wake()
        if self._leaving is not None:
            self._leaving()

    def leaving(self, tell: Callable[[], None]) -> None:
        """Call `tell` when the client leaves; what it still sends is passed over.

        That is all that a stream wants to know, and costs less than a task that waits by `receive`. The connection lets
        go of what it needs only between requests.
        """
        self._leaving = tell
        self._body.clear()
        self._size = 0
        self._owner.hold(reading=True)
        self._owner.lasts()
        if self._gone:
            tell()

    async def run(self, respond: Respond) -> None:
        """Answer."""
        self.scope[LEAVING] = self.leaving
        try:
            answer = await respond(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            self._owner.abort()
            raise
        finally:
            # It refers back here: without it both are freed at once.
            del self.scope[LEAVING]
            self._leaving = None
        if answer is not None and not self._head:
            self._finish(answer)
        elif not self._ended and not self._gone:
            # What has begun cannot become another answer: nobody shall take it for a whole one.
            self._owner.abort()

    async def receive(self) -> route.Message:
        """ASGI's `receive`: the body as far as it is here, then the client's leaving."""
        while not self._gone:
            if self._body or (self._whole and not self._told):
                return self._part()
            if self._ended:
                break
            if not self._whole and not self._greeted and self._expects_continue():
                self._owner.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._greeted = True
            self._owner.hold(reading=True)
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        return {"type": "http.disconnect"}

    async def send(self, message: route.Message) -> None:
        """ASGI's `send`: the head, then parts of the body; waits while the client reads slowly."""
        if self._gone:
            return
        if message["type"] == "http.response.start":
            self._start(message)
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        if self._chunked:
            framed = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
            body = framed if more else framed + b"0\r\n\r\n"
        if body and self.scope["method"] != "HEAD":
            self._owner.write(body)
        if not more:
            self._end()
        else:
            await self._owner.drain()

    def _start(self, message: route.Message) -> None:
        headers = list(message.get("headers", ()))
        status = message["status"]
        self._head = True
        self._chunked = not any(name == b"content-length" for name, _ in headers) and status not in (204, 304)
        if self._chunked:
            if self.scope["http_version"] == "1.1":
                headers.append((b"transfer-encoding", b"chunked"))
            else:
                # HTTP/1.0 ends a body by ending the connection.
                self._chunked = self.keep_alive = False
        self._owner.write(self._with_head(status, wire.lines(headers)))

    def _finish(self, answer: route.Whole) -> None:
        """The whole answer in one write."""
        if self._gone:
            return
        self._head = True
        self._owner.write(self._with_head(answer.status, answer.lines, answer.body))
        self._end()

    def _with_head(self, status: int, lines: bytes, body: bytes = b"") -> bytes:
        return wire.head(status, lines, date=self._owner.date_line(), keep_alive=self.keep_alive) + body

    def _end(self) -> None:
        self._ended = True
        self._body.clear()
        self._owner.done(self)
        if self._arrived is not None:
            self._wake()

    def _part(self) -> route.Message:
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        self._size = 0
        self._told = self._whole
        return {"type": "http.request", "body": body, "more_body": not self._whole}

    def _expects_continue(self) -> bool:
        return any(name == b"expect" and value.lower() == b"100-continue" for name, value in self.scope["headers"])

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)
