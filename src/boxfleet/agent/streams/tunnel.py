"""The agent's control connection: dialled out, kept up, and a task for every stream that the server orders."""

import asyncio
import functools
import pathlib
import socket
import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

import aiohttp
import msgspec
import structlog

from boxfleet.agent.streams import channel, forward, logs, remote, usage
from boxfleet.api import tunnel
from boxfleet.kit import backoff
from boxfleet.kit import clock as clocks
from boxfleet.ports import runtime
from boxfleet.ports import streams as ports

_log = structlog.get_logger(__name__)

# A server that comes back is found within a second; asking that often costs next to nothing.
_RETRY: Final = backoff.Backoff(initial=0.1, limit=1.0)
_DIAL: Final = aiohttp.ClientTimeout(total=None, sock_connect=5.0)
_CLOSE: Final = aiohttp.ClientWSTimeout(ws_close=2.0)


class Tunnel:
    """Serves the streams of one node's instances to one server.

    `server` is the API's base URL, `token` the agent's bearer token if it has one, `tls` trusts the
    server's CA and shows the agent's certificate (None for plain HTTP),
    `log_directory` the folder with NAMESPACE_POD_UID/CONTAINER/ATTEMPT.log.
    """

    def __init__(
        self,
        *,
        server: str,
        node: str,
        token: str,
        tls: ssl.SSLContext | None,
        engine: runtime.Runtime,
        log_directory: pathlib.Path,
    ) -> None:
        self._server = server.rstrip("/")
        self._node = node
        self._token = token
        self._tls = tls
        self._engine = engine
        self._log_directory = log_directory
        self._usage = usage.Usage(engine, clock=clocks.SystemClock())
        self._streams: dict[str, asyncio.Task[None]] = {}

    async def run(self, *, wanted: Callable[[], bool] = lambda: True) -> None:
        """Stay connected and serve, until cancelled, or neither connected nor busy nor wanted."""
        connector = aiohttp.TCPConnector(ssl=self._tls if self._tls is not None else True, limit=0)
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        async with (
            aiohttp.ClientSession(connector=connector, headers=headers, timeout=_DIAL) as session,
            asyncio.TaskGroup() as streams,
        ):
            failures, told = 0, ""
            while wanted() or self._streams:
                try:
                    async with asyncio.timeout(_DIAL.sock_connect) as dialling:
                        async with self._dial(session, tunnel.connect_path(self._node)) as control:
                            dialling.reschedule(None)
                            _log.info("tunnel connected", server=self._server)
                            failures, told = 0, ""
                            await self._serve(session, control, streams)
                    cause = "the server closed the connection"
                except (aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError) as error:
                    cause = str(error) or type(error).__name__
                failures += 1
                if cause != told:
                    _log.warning("tunnel not connected; trying again", server=self._server, cause=cause)
                    told = cause
                await asyncio.sleep(_RETRY.delay(failures=failures))

    def _dial(
        self, session: aiohttp.ClientSession, path: str
    ) -> AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]:
        return session.ws_connect(self._server + path, max_msg_size=tunnel.MAX_MESSAGE, timeout=_CLOSE)

    async def _serve(
        self, session: aiohttp.ClientSession, control: aiohttp.ClientWebSocketResponse, streams: asyncio.TaskGroup
    ) -> None:
        """Take orders until the connection ends or falls silent."""
        loop = asyncio.get_running_loop()
        heard = loop.time()
        decoder = msgspec.json.Decoder(tunnel.ToAgent)
        while True:
            try:
                message = await control.receive(timeout=tunnel.PING_SECONDS)
            except TimeoutError:
                if loop.time() - heard > tunnel.SILENCE_SECONDS:
                    raise
                await control.send_bytes(msgspec.json.encode(tunnel.Ping()))
                continue
            heard = loop.time()
            if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                return
            order = decoder.decode(message.data)
            if isinstance(order, tunnel.Open):
                task = streams.create_task(self._stream(session, order))
                self._streams[order.stream] = task
                task.add_done_callback(functools.partial(self._forget, order.stream))
            elif isinstance(order, tunnel.Cancel) and order.stream in self._streams:
                self._streams[order.stream].cancel()

    def _forget(self, stream: str, _: asyncio.Task[None]) -> None:
        self._streams.pop(stream, None)

    async def _stream(self, session: aiohttp.ClientSession, opened: tunnel.Open) -> None:
        """Dial for one stream and carry its order out; a stream that fails is the server's to explain."""
        try:
            async with (
                asyncio.timeout(_DIAL.sock_connect) as dialling,
                self._dial(session, tunnel.stream_path(self._node, opened.stream)) as connection,
            ):
                dialling.reschedule(None)
                _keep_alive(connection)
                channels = channel.WebSocketChannels(connection)
                await channels.send(tunnel.Channel.ERROR, await self._status(opened.order, channels))
        except (aiohttp.ClientError, OSError, TimeoutError, ports.Disconnected) as error:
            _log.debug("stream ended early", order=type(opened.order).__name__, cause=str(error))

    async def _status(self, order: tunnel.Order, channels: ports.Channels) -> bytes:
        try:
            return await self._carry_out(order, channels)
        except ports.Refusal as refusal:
            return tunnel.failure(code=refusal.code, reason=refusal.reason, message=refusal.message)
        except runtime.RuntimeFault as error:
            return tunnel.failure(code=500, reason="InternalError", message=f"the container runtime failed: {error}")
        except ports.Disconnected:
            raise
        except Exception as error:
            # One stream's fault must not take the others and the tunnel with it.
            _log.exception("stream failed", order=type(order).__name__)
            return tunnel.failure(code=500, reason="InternalError", message=f"the agent failed: {error!r}")

    async def _carry_out(self, order: tunnel.Order, channels: ports.Channels) -> bytes:
        if isinstance(order, tunnel.LogOrder):
            folder = self._log_directory / f"{order.namespace}_{order.pod}_{order.uid}" / order.container
            return await logs.run(self._engine, folder, order, channels)
        if isinstance(order, tunnel.ForwardOrder):
            return await forward.run(self._engine, order, channels)
        if isinstance(order, tunnel.UsageOrder):
            return await self._usage.run(channels)
        return await remote.run(self._engine, order, channels)


def _keep_alive(connection: aiohttp.ClientWebSocketResponse) -> None:
    """Let the kernel notice a server that vanished: pings would go unanswered while back-pressure holds reading."""
    raw = connection.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
