"""Requests over a socket with the standard library alone, for commands that live for a moment.

Loading aiohttp takes longer than such a command's whole work. Calls run in threads.
"""

import asyncio
import contextlib
import http.client
import os
import pathlib
import select
import socket
import ssl
import urllib.parse
from collections.abc import AsyncGenerator

from boxfleet.client import errors, transport


class Plain:
    """Implements `transport.Transport` over HTTP/1.1. `url` has no path.

    One is known by a token, or by `certificate_data`, the text of a PEM certificate with its key.
    `authority` is a file of PEM certificates, `authority_data` such a file's text. `patience` is in seconds, for a
    connection and for each silence within an answer that is not a watch.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str,
        authority: pathlib.Path | None = None,
        authority_data: str = "",
        certificate_data: str = "",
        patience: float = 30.0,
    ) -> None:
        self._patience = patience
        parts = urllib.parse.urlsplit(url)
        self._url = url
        self._host, self._port = parts.hostname or "", parts.port or 443
        self._headers = {"User-Agent": "boxfleet"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._tls = None
        if parts.scheme == "https":
            self._tls = ssl.create_default_context(cafile=authority, cadata=authority_data or None)
            if certificate_data:
                _show(self._tls, certificate_data)
        self._idle: list[http.client.HTTPConnection] = []

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
        headers = self._headers | {"Accept": accept}
        if body and content_type:
            headers["Content-Type"] = content_type
        target = path + ("?" + urllib.parse.urlencode(query) if query else "")
        return await asyncio.to_thread(self._request, method, target, body, headers)

    async def lines(
        self, path: str, *, query: dict[str, str], accept: str = transport.JSON
    ) -> AsyncGenerator[bytes, None]:
        """GET an answer that goes on, line by line."""
        connection = self._connection()
        try:
            answer = await asyncio.to_thread(self._begin, connection, f"{path}?{urllib.parse.urlencode(query)}", accept)
            if answer.status != 200:
                raise errors.from_body(answer.status, await asyncio.to_thread(answer.read))
            if connection.sock is not None:
                connection.sock.settimeout(None)
            while line := await asyncio.to_thread(answer.readline):
                if line := line.strip():
                    yield line
        except (OSError, http.client.HTTPException) as error:
            raise errors.unreachable(self._url, error) from None
        finally:
            # Wakes a thread that still reads.
            if connection.sock is not None:
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)
            connection.close()

    async def close(self) -> None:
        """Let go of connections."""
        while self._idle:
            self._idle.pop().close()

    def _request(self, method: str, target: str, body: bytes, headers: dict[str, str]) -> transport.Response:
        connection = self._kept() or self._connection()
        try:
            connection.request(method, target, body=body or None, headers=headers)
            answer = connection.getresponse()
            whole = transport.Response(answer.status, answer.read())
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise errors.unreachable(self._url, error) from None
        self._idle.append(connection)
        return whole

    def _kept(self) -> http.client.HTTPConnection | None:
        """An idle connection that the server has not closed meanwhile."""
        while self._idle:
            connection = self._idle.pop()
            # Between requests a server has nothing to say but its goodbye.
            if connection.sock is not None and not select.select([connection.sock], [], [], 0)[0]:
                return connection
            connection.close()
        return None

    def _begin(self, connection: http.client.HTTPConnection, target: str, accept: str) -> http.client.HTTPResponse:
        connection.request("GET", target, headers=self._headers | {"Accept": accept})
        return connection.getresponse()

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._patience)
        return http.client.HTTPSConnection(self._host, self._port, timeout=self._patience, context=self._tls)


def _show(tls: ssl.SSLContext, certificate: str) -> None:
    """Be known by a certificate and its key; what is only read from files gets one that is in no folder."""
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, certificate.encode())
        tls.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
