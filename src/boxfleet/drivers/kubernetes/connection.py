"""Calls to a cluster's API, each bounded in time, with faults in the port's words."""

import asyncio
import contextlib
import datetime
import email.utils
import ssl
import urllib.parse
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

import aiohttp
import msgspec

from boxfleet.client import http
from boxfleet.drivers.kubernetes import faults, kubeconfig
from boxfleet.ports import cluster

JSON: Final = "application/json"
APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"
# Objects cut to their metadata.
METADATA: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

# Seconds for a whole answer, and for making a connection.
_WHOLE: Final = 20.0
_CONNECT: Final = 5.0
# Seconds that a watch lasts, and of silence after which it is taken to be dead.
WATCH: Final = 120
_SILENCE: Final = WATCH + 15.0
# Bytes of one line of a watch.
_LINE: Final = 8 * 2**20
_READ: Final = 64 * 1024


class Connection:
    """One cluster's API."""

    def __init__(self, access: kubeconfig.Access) -> None:
        self.access = access
        # Seconds that the cluster's clock was ahead at its last answer.
        self.ahead = 0.0
        self._session: aiohttp.ClientSession | None = None

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = JSON,
        accept: str = JSON,
        timeout: float = _WHOLE,
    ) -> dict[str, Any]:
        """Send plain JSON data and read plain JSON data."""
        what = f"{_VERBS.get(method, method)} {path}"
        headers = {"Accept": accept}
        data = None
        if body is not None:
            headers["Content-Type"] = content_type
            data = msgspec.json.encode(body)
        limits = aiohttp.ClientTimeout(total=timeout, sock_connect=_CONNECT)
        try:
            async with self._open().request(
                method, self.access.url + path, params=query, data=data, headers=headers, timeout=limits,
                server_hostname=self.access.server_name or None, allow_redirects=False,
            ) as answer:  # fmt: skip
                content = await answer.read()
                code = answer.status
                self._compare(answer.headers.get("Date", ""))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._lost(what, error) from None
        if code >= 300:
            raise faults.of_answer(code, content, what=what, hint=self.access.hint)
        try:
            return msgspec.json.decode(content, type=dict[str, Any])
        except msgspec.MsgspecError:
            raise cluster.Unreachable(f"cannot {what}: the answer is not what an API server says") from None

    async def stream(
        self, path: str, *, query: Mapping[str, str], silence: float | None = _SILENCE
    ) -> AsyncGenerator[bytes, None]:
        """GET an answer that goes on, in pieces as they come, an empty one first; so many seconds of silence end it."""
        what = f"read {path}"
        limits = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=silence)
        try:
            async with self._open().get(
                self.access.url + path, params=query, timeout=limits,
                server_hostname=self.access.server_name or None, allow_redirects=False,
            ) as answer:  # fmt: skip
                if answer.status != 200:
                    raise faults.of_answer(answer.status, await answer.read(), what=what, hint=self.access.hint)
                try:
                    # That it was taken is worth knowing before the first piece.
                    yield b""
                    async for piece in answer.content.iter_any():
                        yield piece
                finally:
                    # Nobody waits for the farewell of a connection that is left in the middle.
                    if answer.connection is not None and answer.connection.transport is not None:
                        answer.connection.transport.abort()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._lost(what, error) from None

    async def lines(self, path: str, *, query: Mapping[str, str]) -> AsyncGenerator[bytes, None]:
        """GET an answer that goes on, line by line."""
        rest = b""
        async with contextlib.aclosing(self.stream(path, query=query)) as pieces:
            async for piece in pieces:
                *whole, rest = (rest + piece).split(b"\n") if b"\n" in piece else (rest + piece,)
                for line in whole:
                    if line:
                        yield line
                if len(rest) > _LINE:
                    raise cluster.Unreachable(f"cannot read {path}: a line of more than {_LINE} bytes")

    async def upgrade(
        self, path: str, *, query: list[tuple[str, str]], protocol: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """POST a request that turns into SPDY/3.1, as all servers from 1.20 on know it."""
        what = f"open {path}"
        parts = urllib.parse.urlsplit(self.access.url)
        host = parts.hostname or ""
        try:
            async with asyncio.timeout(_WHOLE):
                reader, writer = await asyncio.open_connection(
                    host,
                    parts.port or 443,
                    limit=_READ,
                    ssl=self.access.tls,
                    server_hostname=self.access.server_name or host,
                )
                try:
                    await self._ask(reader, writer, f"{parts.path}{path}?{urllib.parse.urlencode(query)}", protocol)
                except BaseException:
                    writer.transport.abort()
                    raise
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError) as error:
            raise self._lost(what, error) from None
        return reader, writer

    async def close(self) -> None:
        """Let go of connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
            for _ in range(3):
                # What was aborted is let go of in the loop's next turns.
                await asyncio.sleep(0)

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str, protocol: str
    ) -> None:
        netloc = urllib.parse.urlsplit(self.access.url).netloc
        token = f"Authorization: Bearer {self.access.token}\r\n" if self.access.token else ""
        writer.write(
            f"POST {target} HTTP/1.1\r\nHost: {netloc}\r\n{token}Content-Length: 0\r\nConnection: Upgrade\r\n"
            f"Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: {protocol}\r\n\r\n".encode()
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        words = head.split("\r\n", 1)[0].split(" ")
        code = int(words[1]) if len(words) > 1 and words[1].isdecimal() else 0
        if code != 101:
            raise faults.of_answer(
                code or 502, await reader.read(_READ), what=f"open {target.partition('?')[0]}", hint=self.access.hint
            )

    def _compare(self, date: str) -> None:
        with contextlib.suppress(ValueError):
            told = email.utils.parsedate_to_datetime(date)
            self.ahead = (told - datetime.datetime.now(datetime.UTC)).total_seconds()

    def _lost(self, what: str, error: Exception) -> cluster.ClusterFault:
        cause = getattr(error, "certificate_error", error)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return cluster.Denied(
                f"cannot {what}: {self.access.url} shows a certificate that the kubeconfig's authority does not "
                f"vouch for ({cause.verify_message}); renew the kubeconfig, and look whether the clocks agree"
            )
        words = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        return cluster.Unreachable(f"cannot {what}: cannot reach {self.access.url}: {words}")

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            headers = {"User-Agent": "boxfleet"}
            if self.access.token:
                headers["Authorization"] = f"Bearer {self.access.token}"
            connector = aiohttp.TCPConnector(ssl=self.access.tls, limit=64, socket_factory=http.probed)
            self._session = aiohttp.ClientSession(
                connector=connector, headers=headers, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session


_VERBS: Final = {"GET": "read", "POST": "create in", "PATCH": "change", "DELETE": "delete"}
