"""The client's side of containerd's streaming server, which carries exec and attach.

CRI's Exec and Attach answer with a one-time URL. It is opened as an HTTP upgrade to SPDY/3.1 with the stream
semantics of `v4.channel.k8s.io`: one SPDY stream for each of error, stdin, stdout, stderr and resize, told apart
by their `streamtype` header; the error stream ends with a v1 Status that holds the exit code.
"""

import asyncio
import urllib.parse
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from boxfleet.kit import spdy
from boxfleet.ports import runtime

_PROTOCOL: Final = "v4.channel.k8s.io"
_READ: Final = 64 * 1024
# A Status is small; more than this on the error stream is not one.
_MAX_STATUS: Final = 64 * 1024
_CONNECT_SECONDS: Final = 10.0


class _Cause(msgspec.Struct):
    reason: str = ""
    message: str = ""


class _Details(msgspec.Struct):
    causes: list[_Cause] | None = None


class _Status(msgspec.Struct):
    status: str = ""
    reason: str = ""
    message: str = ""
    details: _Details | None = None


async def connect(url: str, *, stdin: bool, tty: bool, stderr: bool) -> runtime.Session:
    """Open the streams behind a URL that Exec or Attach gave.

    `stdin`, `tty` and `stderr` must be what the request said; standard output is always open, and a terminal has
    no separate standard error. Raises Unavailable when nothing answers, RuntimeFault when it refuses.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or not parts.port:
        raise runtime.RuntimeFault(f"cannot open streams: {url} is not an http URL with host and port")
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=_READ)
            try:
                await _upgrade(reader, writer, parts)
            except BaseException:
                writer.transport.abort()
                raise
    except TimeoutError as error:
        raise runtime.Unavailable(
            f"cannot open streams: {parts.netloc} did not answer within {_CONNECT_SECONDS:.0f} s"
        ) from error
    except (OSError, EOFError) as error:
        raise runtime.Unavailable(f"cannot open streams: {parts.netloc}: {error or 'connection closed'}") from error
    return _StreamSession(reader, writer, stdin=stdin, tty=tty, stderr=stderr and not tty)


async def _upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, parts: urllib.parse.SplitResult) -> None:
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    request = (
        f"POST {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: 0\r\nConnection: Upgrade\r\n"
        f"Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: {_PROTOCOL}\r\n\r\n"
    )
    writer.write(request.encode())
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.LimitOverrunError as error:
        raise runtime.RuntimeFault(f"cannot open streams: {parts.netloc} does not speak HTTP") from error
    status, *lines = head.split("\r\n")
    if status.split(" ")[1:2] != ["101"]:
        reason = (await reader.read(_READ)).decode("utf-8", "replace").strip()
        raise runtime.RuntimeFault(f"cannot open streams: {parts.netloc} answered {status}: {reason}")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    chosen = headers.get("x-stream-protocol-version", "")
    if chosen != _PROTOCOL:
        raise runtime.RuntimeFault(f"cannot open streams: {parts.netloc} chose protocol {chosen!r}, not {_PROTOCOL}")


class _StreamSession:
    """A `ports.runtime.Session` without a task of its own: iterating `output` is what reads the connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, stdin: bool, tty: bool, stderr: bool
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._spdy = spdy.Connection(client=True)
        # The server waits for the whole set; it sorts them by header, whatever their order.
        self._error = self._open("error")
        self._stdin = self._open("stdin") if stdin else 0
        self._outputs = {self._open("stdout"): 1}
        if stderr:
            self._outputs[self._open("stderr")] = 2
        self._resize = self._open("resize") if tty else 0
        self._flush()
        self._ending = {self._error, *self._outputs}
        self._status = bytearray()
        self._broken = ""

    async def send_stdin(self, data: bytes) -> None:
        """Write to the process; returns when the data is on its way (back-pressure)."""
        if self._stdin and data:
            self._spdy.send(self._stdin, data)
            await self._drain()

    async def close_stdin(self) -> None:
        """End the process' input."""
        if self._stdin:
            self._spdy.send(self._stdin, b"", fin=True)
            self._stdin = 0
            await self._drain()

    async def resize(self, *, width: int, height: int) -> None:
        """Tell the terminal's new size in characters."""
        if self._resize:
            self._spdy.send(self._resize, msgspec.json.encode({"Width": width, "Height": height}) + b"\n")
            await self._drain()

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """Chunks as (1 for stdout or 2 for stderr, data) until the process has ended."""
        while self._ending and not self._broken:
            try:
                data = await self._reader.read(_READ)
                events = self._spdy.receive(data)
            except (OSError, spdy.ProtocolError) as error:
                self._broken = str(error) or type(error).__name__
                return
            if not data:
                self._broken = "connection closed"
                return
            self._flush()
            for event in events:
                if isinstance(event, spdy.Data):
                    if event.stream in self._outputs and event.data:
                        yield self._outputs[event.stream], event.data
                    elif event.stream == self._error and len(self._status) < _MAX_STATUS:
                        self._status += event.data
                    if event.fin:
                        self._ending.discard(event.stream)
                elif isinstance(event, spdy.Reset):
                    self._ending.discard(event.stream)

    async def exit_code(self) -> int:
        """The exit code; only after `output` ended. Raises RuntimeFault when the command could not be run."""
        if not self._status:
            raise runtime.Unavailable(
                f"the streams ended before the runtime told the outcome: {self._broken or 'no status'}"
            )
        try:
            status = msgspec.json.decode(self._status, type=_Status)
        except msgspec.MsgspecError as error:
            raise runtime.RuntimeFault(f"cannot read the runtime's status: {error}") from error
        if status.status == "Success":
            return 0
        for cause in (status.details and status.details.causes) or []:
            if cause.reason == "ExitCode" and cause.message.isdecimal():
                return int(cause.message)
        raise runtime.RuntimeFault(status.message or "the runtime failed without a reason")

    async def close(self) -> None:
        """Let go of the streams; does not kill the process."""
        # Nothing more is wanted from the peer, and a peer that reads nothing must not hold the buffers.
        self._writer.transport.abort()

    def _open(self, kind: str) -> int:
        return self._spdy.open({"streamtype": kind})

    def _flush(self) -> None:
        if outgoing := self._spdy.outbox():
            self._writer.write(outgoing)

    async def _drain(self) -> None:
        self._flush()
        try:
            await self._writer.drain()
        except OSError as error:
            raise runtime.Unavailable(f"cannot write to the streams: {error}") from error
