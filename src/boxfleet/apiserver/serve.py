"""The app on a TLS socket, by uvicorn."""

import asyncio
import contextlib
import functools
import pathlib
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any

import uvicorn

from boxfleet.apiserver import app as apps
from boxfleet.apiserver import connection, tls

# Seconds that requests in progress get when the server stops.
_STOP_GRACE = 5
# As many connections as may wait to be accepted.
_BACKLOG = 512


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
    ) -> None:
        """`clients` are the authorities (PEM) of client certificates."""
        host, port = listener.getsockname()[:2]
        self.address = f"https://{f'[{host}]' if ':' in host else host}:{port}"
        self._app = app
        self._listener = listener
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        if clients is not None:
            context.load_verify_locations(clients)
            context.verify_mode = ssl.CERT_OPTIONAL
        self._server = _Quiet(
            uvicorn.Config(
                app,
                http=functools.partial(_secured, context),  # type: ignore[arg-type]
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
        await self._server.serve(sockets=[self._listener])

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


def _secured(context: ssl.SSLContext, **of_uvicorn: Any) -> asyncio.Protocol:
    return tls.Tls(context, connection.Connection(**of_uvicorn))


def listen(*, host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises OSError when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
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
) -> AsyncIterator[Server]:
    """Serve the app while the block runs."""
    listener = listen(host=host, port=port)
    try:
        server = Server(app, listener, certificate=certificate, key=key, clients=clients)
    except BaseException:
        listener.close()
        raise
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
