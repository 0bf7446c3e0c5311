"""The engine's API over HTTP: calls with bounded time, answers that go on, and the faults of both."""

import asyncio
import json
import ssl
import urllib.parse
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import msgspec

from boxfleet.drivers.docker import duplex, faults, tls
from boxfleet.ports import cluster

# The newest API that is spoken, and the oldest: Docker 20.10 (2020).
NEWEST: Final = (1, 47)
OLDEST: Final = (1, 41)
# Seconds for a call, and for a connection.
CALL_SECONDS: Final = 30.0
_CONNECT_SECONDS: Final = 10.0
# An archive or a line of events may be longer than aiohttp expects of a line.
_BUFFER: Final = 2**20


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """An engine's address: a socket's path, or a host and port."""

    socket: str = ""
    host: str = ""
    port: int = 0

    @classmethod
    def parse(cls, url: str) -> "Where":
        """From ``unix:///PATH`` or ``tcp://HOST:PORT``."""
        parts = urllib.parse.urlsplit(url)
        if parts.scheme == "unix":
            return cls(socket=parts.path)
        return cls(host=parts.hostname or "", port=parts.port or 2376)

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine."""
        return bool(self.socket)

    def __str__(self) -> str:
        return self.socket or f"{self.host}:{self.port}"


class Connection:
    """One engine. Made before the event loop runs or on it; nothing is opened before the first call."""

    def __init__(self, where: Where, credentials: Mapping[str, bytes]) -> None:
        self.where = where
        self._credentials = credentials
        self._session: aiohttp.ClientSession | None = None
        self._context: ssl.SSLContext | None = None
        self._version = ""

    async def close(self) -> None:
        """Let go of all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = CALL_SECONDS,
    ) -> Any:
        """One call with its whole answer, JSON or None. Raises ClusterFaults."""
        async with self.open(
            method, path, params=params, body=body, data=data, headers=headers, seconds=seconds
        ) as answer:
            try:
                content = await answer.read()
            except (aiohttp.ClientError, TimeoutError) as error:
                raise self._unreachable(error) from None
        return msgspec.json.decode(content) if content.strip() else None

    async def lines(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        silence: float | None = None,
    ) -> AsyncIterator[dict[str, Any]]:
        """The JSON objects of an answer that comes bit by bit, to its end; `silence` is how long it may say nothing."""
        async with self.open(method, path, params=params, headers=headers, seconds=None, silence=silence) as answer:
            try:
                async for line in answer.content:
                    if line.strip():
                        yield msgspec.json.decode(line, type=dict[str, Any])
            except (aiohttp.ClientError, msgspec.DecodeError, ValueError, TimeoutError) as error:
                raise self._unreachable(error) from None

    @asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float | None = CALL_SECONDS,
        silence: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A call whose answer the caller reads; `seconds` None leaves it open. Raises ClusterFaults."""
        sent = dict(headers or {})
        if body is not None:
            data = msgspec.json.encode(body)
            sent["Content-Type"] = "application/json"
        url = self._base() + await self.version() + path
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=_CONNECT_SECONDS, sock_read=silence)
        try:
            answer = await self._opened().request(
                method, url, params=_plain(params), data=data, headers=sent, timeout=timeout
            )
        except (OSError, aiohttp.ClientError, TimeoutError) as error:
            raise self._unreachable(error) from None
        try:
            if answer.status >= 400:
                raise faults.of_status(answer.status, _words(await answer.read()), what=f"{method} {path}")
            yield answer
        finally:
            # A stream that is not read to its end must not be waited for.
            answer.close()

    async def version(self) -> str:
        """The path's prefix for the API that both sides speak. Raises ClusterFaults."""
        if not self._version:
            said = await self.about()
            newest = _number(said.get("ApiVersion", ""))
            if newest < OLDEST:
                raise cluster.Unsupported(
                    f"the Docker engine at {self.where} speaks the API {said.get('ApiVersion')}: "
                    f"{OLDEST[0]}.{OLDEST[1]} (Docker 20.10) or later is needed"
                )
            self._version = "/v{}.{}".format(*min(newest, NEWEST))
        return self._version

    async def about(self) -> dict[str, Any]:
        """What the engine says of its version; for any API. Raises ClusterFaults."""
        timeout = aiohttp.ClientTimeout(total=CALL_SECONDS, sock_connect=_CONNECT_SECONDS)
        try:
            async with self._opened().get(f"{self._base()}/version", timeout=timeout) as answer:
                content = await answer.read()
                if answer.status >= 400:
                    raise faults.of_status(answer.status, _words(content), what="ask for the version")
        except (OSError, aiohttp.ClientError, TimeoutError) as error:
            raise self._unreachable(error) from None
        try:
            return msgspec.json.decode(content, type=dict[str, Any])
        except msgspec.DecodeError:
            words = f"what answers at {self.where} is no Docker engine: correct spec.docker.host"
            raise cluster.Unreachable(words) from None

    async def upgraded(self, path: str, body: Any) -> duplex.Line:
        """A call whose connection becomes a stream in both directions. Raises ClusterFaults."""
        content = msgspec.json.encode(body)
        request = (
            f"POST {await self.version()}{path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                line = await self._dial()
        except (OSError, TimeoutError) as error:
            raise self._unreachable(error) from None
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await line.write(request.encode() + content)
                head = await line.readuntil(b"\r\n\r\n")
                status = int(head.split(None, 2)[1])
                if status >= 400:
                    raise faults.of_status(status, _words(await _rest(line, head)), what=f"POST {path}")
        except BaseException as error:
            line.abort()
            if isinstance(error, OSError | TimeoutError | asyncio.IncompleteReadError | ValueError):
                raise self._unreachable(error) from None
            raise
        return line

    async def _dial(self) -> duplex.Line:
        if self.where.is_local:
            return duplex.Plain(*await asyncio.open_unix_connection(self.where.socket, limit=_BUFFER))
        reader, writer = await asyncio.open_connection(self.where.host, self.where.port)
        line = duplex.Tls(reader, writer, self._tls(), self.where.host)
        try:
            await line.shake_hands()
        except BaseException:
            line.abort()
            raise
        return line

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector: aiohttp.BaseConnector
            if self.where.is_local:
                connector = aiohttp.UnixConnector(self.where.socket, limit=0)
            else:
                connector = aiohttp.TCPConnector(ssl=self._tls(), limit=0)
            self._session = aiohttp.ClientSession(connector=connector, read_bufsize=_BUFFER, auto_decompress=False)
        return self._session

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = tls.context(self._credentials)
        return self._context

    def _base(self) -> str:
        return "http://docker" if self.where.is_local else f"https://{self.where.host}:{self.where.port}"

    def _unreachable(self, error: BaseException) -> cluster.ClusterFault:
        cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
        if isinstance(cause, PermissionError):
            return cluster.Denied(
                f"cannot open {self.where}: permission denied; let Boxfleet's user into the group that owns it "
                "(usermod -aG docker USER, then log in anew), or give the path of a rootless engine's own socket"
            )
        if isinstance(cause, ssl.SSLCertVerificationError | aiohttp.ClientConnectorCertificateError):
            return cluster.Denied(
                f"the Docker engine at {self.where} shows a certificate that {tls.CA} does not cover: {cause}"
            )
        if isinstance(cause, ssl.SSLError) or "SSL" in str(cause).upper():
            return cluster.Denied(
                f"the Docker engine at {self.where} refuses our certificate: {cause}; "
                f"renew {tls.CERTIFICATE} and {tls.KEY}"
            )
        words = str(cause) or ("no answer in time" if isinstance(cause, TimeoutError) else type(cause).__name__)
        return cluster.Unreachable(f"cannot reach the Docker engine at {self.where}: {words}")


def _plain(params: Mapping[str, Any] | None) -> dict[str, str]:
    plain = {}
    for name, value in (params or {}).items():
        if isinstance(value, bool):
            plain[name] = "true" if value else "false"
        elif isinstance(value, str):
            plain[name] = value
        else:
            plain[name] = json.dumps(value)
    return plain


def _words(content: bytes) -> str:
    try:
        return str(msgspec.json.decode(content, type=dict[str, Any]).get("message", ""))
    except msgspec.DecodeError:
        return content[:512].decode(errors="replace")


async def _rest(line: duplex.Line, head: bytes) -> bytes:
    """The body of a short answer with a length."""
    for each in head.lower().split(b"\r\n"):
        name, _, value = each.partition(b":")
        if name == b"content-length":
            return await line.readexactly(int(value))
    return b""


def _number(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else (0, 0)
