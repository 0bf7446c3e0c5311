"""The app on a TLS socket, by uvicorn."""

import asyncio
import contextlib
import dataclasses
import functools
import pathlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import structlog
import uvicorn

from boxfleet.apiserver import app as apps
from boxfleet.apiserver import connection, tls

log = structlog.get_logger()

# Seconds that requests in progress get when the server stops.
_STOP_GRACE = 5
# As many connections as may wait to be accepted.
_BACKLOG = 512
# IP_FREEBIND and IPV6_FREEBIND (ip(7), linux/in6.h), which the standard library does not name.
_FREEBIND, _FREEBIND_6 = 15, 78


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Further:
    """An address that is listened on besides, also before it is there; `admits` says which peers may connect to it."""

    host: str
    admits: Callable[[str], bool]


class Server:
    """A running HTTP server; `address` is where it listens."""

    def __init__(
        self,
        app: apps.ApiServer,
        listener: socket.socket,
        *,
        certificate: pathlib.Path,
        key: pathlib.Path,
        clients: pathlib.Path | None = None,
        further: tuple[socket.socket, Further] | None = None,
    ) -> None:
        """`clients` are the authorities (PEM) of client certificates; `further` is a second listener."""
        host, port = listener.getsockname()[:2]
        self.address = f"https://{f'[{host}]' if ':' in host else host}:{port}"
        self._app = app
        self._listeners = [listener] if further is None else [listener, further[0]]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        if clients is not None:
            context.load_verify_locations(clients)
            context.verify_mode = ssl.CERT_OPTIONAL
        self._server = _Quiet(
            uvicorn.Config(
                app,
                http=functools.partial(_secured, tls.Engines(context), None if further is None else further[1]),  # type: ignore[arg-type]
                ws="wsproto",
                loop="none",
                lifespan="off",
                access_log=False,
                proxy_headers=False,
                log_config=None,
                server_header=False,
                date_header=True,
                backlog=_BACKLOG,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=_STOP_GRACE,
                ws_max_size=16 * 2**20,
                ws_ping_interval=None,
            )
        )

    async def run(self) -> None:
        """Serve until `stop` is called."""
        await self._server.serve(sockets=self._listeners)

    async def started(self) -> None:
        """Wait until connections are accepted."""
        await self._server.accepting.wait()

    async def retire(self, seconds: float) -> None:
        """Be no longer ready, and serve on for so long: whoever chooses between servers finds out meanwhile."""
        self._app.retire()
        await asyncio.sleep(seconds)

    def stop(self) -> None:
        """End watches, let requests finish, then return from `run`."""
        self._app.stop()
        self._server.should_exit = True


class _Quiet(uvicorn.Server):
    """Leaves signals to the process that it is a part of, and says when it accepts connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepting = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets=sockets)
        self.accepting.set()

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        """Take none."""
        yield


def _secured(engines: tls.Engines, further: Further | None, **of_uvicorn: Any) -> asyncio.Protocol:
    inner = connection.Connection(**of_uvicorn)
    return tls.Tls(engines, inner) if further is None else _Guarded(engines, inner, further)


class _Guarded(tls.Tls):
    """Ends connections to the further address from peers that are not let in there, before a byte is read."""

    __slots__ = ("_further",)

    def __init__(self, engines: tls.Engines, inner: asyncio.Protocol, further: Further) -> None:
        super().__init__(engines, inner)
        self._further = further

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Look who comes, and where."""
        super().connection_made(transport)
        here, peer = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        if here and here[0] == self._further.host and not (peer and self._further.admits(peer[0])):
            # uvloop's transports are of no common class.
            cast(asyncio.Transport, transport).abort()


def listen(*, host: str, port: int, absent: bool = False) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises OSError when the port is taken.

    With `absent` the address may be one that the machine does not have yet.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if absent:
            six = family == socket.AF_INET6
            listener.setsockopt(socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP, _FREEBIND_6 if six else _FREEBIND, 1)
        listener.bind((host, port))
        listener.set_inheritable(False)
    except OSError:
        listener.close()
        raise
    return listener


@contextlib.asynccontextmanager
async def serving(
    app: apps.ApiServer,
    *,
    host: str,
    port: int,
    certificate: pathlib.Path,
    key: pathlib.Path,
    clients: pathlib.Path | None = None,
    further: Further | None = None,
) -> AsyncIterator[Server]:
    """Serve the app while the block runs. Where `further` cannot be had, it is done without, and told."""
    with contextlib.ExitStack() as undo:
        listener = listen(host=host, port=port)
        undo.callback(listener.close)
        second = None
        if further is not None:
            try:
                second = (listen(host=further.host, port=listener.getsockname()[1], absent=True), further)
                undo.callback(second[0].close)
            except OSError as error:
                log.warning("instances cannot reach the API", address=further.host, cause=str(error))
        server = Server(app, listener, certificate=certificate, key=key, clients=clients, further=second)
        undo.pop_all()
    task = asyncio.create_task(server.run(), name="http server")
    try:
        waiting = asyncio.create_task(server.started())
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            waiting.cancel()
            await task
        yield server
    finally:
        server.stop()
        await task
