"""A transport that calls an ASGI app of the same process: no socket, no TLS, the same API."""

import asyncio
import urllib.parse
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from boxfleet.client import errors, transport

Message = MutableMapping[str, Any]
App = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]

Headers = tuple[tuple[bytes, bytes], ...]


class Whole(Protocol):
    """An answer that is there as a whole."""

    @property
    def status(self) -> int:
        """HTTP's."""

    @property
    def body(self) -> bytes:
        """All of it."""


# How an app may answer besides: whole answers are returned, others given by `send`.
Respond = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[Whole | None],
]

# Messages of a stream that may wait for their reader; then the app waits, as it would on a socket.
_BACKLOG = 16


class InProcess:
    """Calls an app directly. Use it on the app's own event loop.

    `program` is the name under which objects show what was written through it.
    """

    def __init__(self, app: App, *, token: str, program: str = "boxfleet") -> None:
        """An app that has `respond` is asked by it: its whole answers need not become messages."""
        self._app = app
        self._respond: Respond | None = getattr(app, "respond", None)
        self._own: Headers = (
            (b"authorization", f"Bearer {token}".encode()),
            (b"user-agent", program.encode()),
        )
        # The headers of requests, by what they accept and what they send: the same few each time.
        self._headers: dict[tuple[str, str], Headers] = {}

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str],
        body: bytes = b"",
        content_type: str = "",
        accept: str = transport.JSON,
    ) -> transport.Response:
        """Send a request and read the whole answer."""
        exchange = _Exchange(body)
        scope = self._scope(method, path, query, content_type, accept)
        if self._respond is None:
            await self._app(scope, exchange.receive, exchange.collect)
        elif (answer := await self._respond(scope, exchange.receive, exchange.collect)) is not None:
            return transport.Response(answer.status, answer.body)
        if exchange.status == 0:
            raise _unanswered()
        return transport.Response(exchange.status, b"".join(exchange.chunks))

    async def lines(
        self, path: str, *, query: dict[str, str], accept: str = transport.JSON
    ) -> AsyncGenerator[bytes, None]:
        """Read an answer that goes on, line by line; leaving the loop ends the call."""
        exchange = _Stream()
        scope = self._scope("GET", path, query, "", accept)
        call = asyncio.create_task(self._run(scope, exchange), name=f"watch {path}")
        try:
            rest = b""
            while (chunk := await exchange.queue.get()) is not None:
                *whole, rest = (rest + chunk).split(b"\n")
                if exchange.status != 200:
                    rest = b"\n".join((*whole, rest))
                    continue
                for line in whole:
                    if line:
                        yield line
            if exchange.failure is not None:
                raise _unanswered() from exchange.failure
            if exchange.status == 0:
                raise _unanswered()
            if exchange.status != 200:
                raise errors.from_body(exchange.status, rest)
        finally:
            call.cancel()
            await asyncio.wait([call])

    async def close(self) -> None:
        """Nothing is held."""

    async def _run(self, scope: MutableMapping[str, Any], exchange: "_Stream") -> None:
        try:
            await self._app(scope, exchange.receive, exchange.enqueue)
        except Exception as error:
            # An app that fails ends its answer, as a connection that breaks does.
            exchange.failure = error
        # Not after a cancellation: then the reader has left, and a full queue would wait for it forever.
        await exchange.queue.put(None)

    def _scope(
        self, method: str, path: str, query: dict[str, str], content_type: str, accept: str
    ) -> MutableMapping[str, Any]:
        headers = self._headers.get((accept, content_type))
        if headers is None:
            headers = self._headers[accept, content_type] = (
                *self._own,
                (b"accept", accept.encode()),
                *(((b"content-type", content_type.encode()),) if content_type else ()),
            )
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "https",
            "path": path,
            "raw_path": path.encode(),
            "query_string": urllib.parse.urlencode(query).encode() if query else b"",
            "root_path": "",
            "headers": headers,
            "client": None,
            "server": None,
            "extensions": {},
        }


class _Exchange:
    """One call: its body on the way in, its answer on the way out."""

    def __init__(self, body: bytes = b"") -> None:
        self._body: bytes | None = body
        self.status = 0
        self.chunks: list[bytes] = []

    async def receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        # The caller leaves by cancelling the call, so this is only waited for.
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def collect(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.chunks.append(message.get("body", b""))


class _Stream(_Exchange):
    """A call whose answer goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.failure: Exception | None = None
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue(_BACKLOG)

    async def enqueue(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            await self.queue.put(message.get("body", b""))


def _unanswered() -> errors.Unavailable:
    return errors.Unavailable(code=503, reason="ServiceUnavailable", message="the server gave no answer")
