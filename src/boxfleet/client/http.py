"""Requests over a socket, for processes other than the server."""

import contextlib
import pathlib
import socket
import ssl
from collections.abc import AsyncGenerator

import aiohttp

from boxfleet.client import contact as contacts
from boxfleet.client import errors, servers, transport

# Seconds for a whole answer that is not a watch, and for making a connection.
_WHOLE = aiohttp.ClientTimeout(total=60.0, sock_connect=5.0)
# A watch is silent while nothing changes; a dead peer is found by keep-alive probes of the connection.
_ENDLESS = aiohttp.ClientTimeout(total=None, sock_connect=5.0)
# Bytes of one line of a watch: an object of the largest size that the API takes, written out.
_LINE_LIMIT = 8 * 2**20
_UNAUTHORIZED = 401
_UNAVAILABLE = 503
# Nothing was sent yet: another server may be asked the same.
_NOT_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
# A machine that vanished is found out within half a minute: seconds of silence, between probes, and their number.
_PROBES = {socket.TCP_KEEPIDLE: 10, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 3}
_UNACKNOWLEDGED_MS = 25_000


class Http:
    """Implements `transport.Transport` over HTTP/1.1. `authority` is a file of PEM certificates.

    `server` is a URL without a path, or several servers: one that does not answer is left for the next one.

    One is known by a token, by `token_file`, which is read again as it is renewed, or by `certificate`, a PEM file with
    its key; `speaking_as` is the user that one speaks as. `contact` is told how servers answer.
    `program` is the name under which objects show what was written through it.
    """

    def __init__(
        self,
        server: str | servers.Servers,
        *,
        token: str = "",
        token_file: pathlib.Path | None = None,
        speaking_as: str = "",
        authority: pathlib.Path | None = None,
        certificate: pathlib.Path | None = None,
        contact: contacts.Contact | None = None,
        program: str = "boxfleet",
    ) -> None:
        self._servers = servers.Servers([server]) if isinstance(server, str) else server
        self._token = token
        self._token_file = token_file
        self._speaking_as = speaking_as
        self._program = program
        self._tls = ssl.create_default_context(cafile=str(authority)) if authority is not None else None
        if self._tls is not None and certificate is not None:
            self._tls.load_cert_chain(certificate)
        self._contact = contact or contacts.Contact()
        self._session: aiohttp.ClientSession | None = None

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
        headers = self._headers(accept)
        if body and content_type:
            headers["Content-Type"] = content_type
        left = len(self._servers.urls)
        while True:
            url = self._servers.present
            left -= 1
            try:
                async with self._open().request(
                    method, url + path, params=query, data=body or None, headers=headers, timeout=_WHOLE
                ) as answer:
                    content = await answer.read()
                    self._heed(url, answer.status, content)
                    return transport.Response(answer.status, content)
            except _NOT_CONNECTED as error:
                self._servers.avoid(url)
                if left <= 0:
                    self._contact.silence()
                    raise errors.unreachable(url, error) from None
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                self._servers.avoid(url)
                self._contact.silence()
                raise errors.unreachable(url, error) from None

    async def lines(
        self, path: str, *, query: dict[str, str], accept: str = transport.JSON
    ) -> AsyncGenerator[bytes, None]:
        """GET an answer that goes on, line by line."""
        url = self._servers.present
        try:
            async with self._open().get(
                url + path, params=query, headers=self._headers(accept), timeout=_ENDLESS
            ) as answer:
                if answer.status != 200:
                    content = await answer.read()
                    self._heed(url, answer.status, content)
                    raise errors.from_body(answer.status, content)
                self._contact.answer()
                rest = b""
                async for chunk in answer.content.iter_any():
                    *whole, rest = (rest + chunk).split(b"\n") if b"\n" in chunk else (rest + chunk,)
                    for line in whole:
                        if line:
                            yield line
                    if len(rest) > _LINE_LIMIT:
                        raise aiohttp.ClientPayloadError(f"a line of more than {_LINE_LIMIT} bytes")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._servers.avoid(url)
            self._contact.silence()
            raise errors.unreachable(url, error) from None

    async def close(self) -> None:
        """Let go of connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _heed(self, url: str, status: int, content: bytes) -> None:
        if status == _UNAUTHORIZED:
            self._contact.refuse(errors.from_body(status, content).message)
        elif status == _UNAVAILABLE:
            # It stops, or has lost its database: another one may serve.
            self._servers.avoid(url)
            self._contact.silence()
        else:
            self._contact.answer()

    def _headers(self, accept: str) -> dict[str, str]:
        headers = {"Accept": accept}
        if self._token_file is not None:
            # Renewed while this process runs; small, and in memory.
            with contextlib.suppress(OSError):
                headers["Authorization"] = f"Bearer {self._token_file.read_text().strip()}"
        return headers

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                ssl=self._tls if self._tls is not None else True, limit=0, socket_factory=probed
            )
            headers = {"User-Agent": self._program}
            if self._token:
                headers["Authorization"] = f"Bearer {self._token}"
            if self._speaking_as:
                headers["Impersonate-User"] = self._speaking_as
            self._session = aiohttp.ClientSession(
                connector=connector, headers=headers, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session


def probed(about: aiohttp.AddrInfoType) -> socket.socket:
    """A socket whose peer is probed while it is silent."""
    family, kind, protocol, _, _ = about
    made = socket.socket(family=family, type=kind, proto=protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _PROBES.items():
        made.setsockopt(socket.IPPROTO_TCP, option, value)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)
    return made
