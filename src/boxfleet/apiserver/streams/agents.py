"""Which agents are connected, and streams ordered from them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from boxfleet.api import tunnel
from boxfleet.apiserver import faults
from boxfleet.apiserver.streams import elsewhere, streams, websocket
from boxfleet.kit import ids

# An agent that lives comes back within about a second after a restart of the server.
_RETURN_SECONDS: Final = 2.0
_DIAL_SECONDS: Final = 5.0
_TAKE_SECONDS: Final = 15.0
_CLOSE_SECONDS: Final = 3.0
# An agent may know this server by several addresses and dial each; of more connections the oldest one goes.
_CONNECTIONS: Final = 4


class SocketStream:
    """The server's end of one data connection."""

    def __init__(self, socket: websocket.WebSocket) -> None:
        self._socket = socket
        self.ended = False
        self.released = asyncio.Event()

    async def receive(self) -> tuple[int, bytes]:
        """The next (channel, data) except the last, which raises Ended with the Status."""
        while True:
            try:
                message = await self._socket.receive()
            except websocket.Gone:
                self.ended = True
                raise streams.Ended(None) from None
            if not message:
                continue
            if message[0] == tunnel.Channel.ERROR:
                self.ended = True
                raise streams.Ended(message[1:])
            return message[0], message[1:]

    async def send(self, channel: int, data: bytes) -> None:
        """Send data; waits while the agent reads slowly. To an agent that has gone it does nothing: `receive` tells."""
        with contextlib.suppress(websocket.Gone):
            await self._socket.send(bytes([channel]) + data)

    async def forward(self, message: bytes) -> None:
        """Send a message that has its channel in front."""
        with contextlib.suppress(websocket.Gone):
            await self._socket.send(message)

    async def hold(self) -> None:
        """Keep the connection until it is released, then end it."""
        await self.released.wait()
        with contextlib.suppress(TimeoutError):
            # What is on its way to an agent that takes nothing more is not waited for.
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._socket.close()


class Agents:
    """The agents that have dialled in, by node. One for the whole server.

    Set `elsewhere` to serve hosts that have no agent of ours.
    """

    def __init__(self) -> None:
        self.elsewhere: elsewhere.Elsewhere | None = None
        # The newest one of a node is last, and is asked.
        self._connected: dict[str, list[websocket.WebSocket]] = {}
        self._arrival = asyncio.Event()
        self._waiting: dict[str, tuple[str, asyncio.Future[SocketStream]]] = {}

    def nodes(self) -> list[str]:
        """The nodes whose agents are connected."""
        return sorted(self._connected)

    def answers(self, node: str) -> bool:
        """Whether a node can be asked at this moment."""
        return node in self._connected or self._is_elsewhere(node)

    def require(self, node: str) -> None:
        """Raise Fault 503 when a node's agent is not connected at this moment."""
        if not self.answers(node):
            raise absent(node)

    async def serve_control(self, node: str, socket: websocket.WebSocket) -> None:
        """Hold an agent's control connection until it ends; a newer one is asked in its place."""
        await socket.accept()
        held = self._connected.setdefault(node, [])
        held.append(socket)
        self._arrival.set()
        self._arrival = asyncio.Event()
        pong = msgspec.json.encode(tunnel.Pong())
        try:
            if len(held) > _CONNECTIONS:
                await held.pop(0).close(code=1001, reason="the agent has connected anew")
            while True:
                async with asyncio.timeout(tunnel.SILENCE_SECONDS):
                    await socket.receive()
                await socket.send_text(pong)
        except (websocket.Gone, TimeoutError):
            await socket.close(code=1001, reason="no sign of life")
        finally:
            if socket in held:
                held.remove(socket)
            if not held and self._connected.get(node) is held:
                del self._connected[node]

    async def serve_stream(self, node: str, stream_id: str, socket: websocket.WebSocket) -> None:
        """Hold a data connection while the order's side uses it. Raises Fault 404 for an id that is not waited for."""
        expected, future = self._waiting.get(stream_id, ("", None))
        if future is None or expected != node or future.done():
            raise faults.Fault(404, "NotFound", "nobody waits for this stream")
        del self._waiting[stream_id]
        try:
            await socket.accept()
        except websocket.Gone:
            # The order's side finds out by its patience.
            return
        stream = SocketStream(socket)
        if future.done():
            stream.released.set()
        else:
            future.set_result(stream)
        await stream.hold()

    @contextlib.asynccontextmanager
    async def open(self, node: str, order: tunnel.Order) -> AsyncIterator[streams.Stream]:
        """Have an agent carry out an order; the stream, once the agent has taken it.

        Raises Fault: 503 without an agent, 504 when it does not answer, and the agent's own refusal.
        """
        if self.elsewhere is not None and self._is_elsewhere(node):
            async with elsewhere.opened(self.elsewhere, node, order) as local:
                await self._taken(node, local)
                yield local
            return
        control = await self._control(node)
        stream_id = ids.new_token()
        future: asyncio.Future[SocketStream] = asyncio.get_running_loop().create_future()
        self._waiting[stream_id] = (node, future)
        try:
            try:
                await control.send_text(msgspec.json.encode(tunnel.Open(stream=stream_id, order=order)))
                async with asyncio.timeout(_DIAL_SECONDS):
                    stream = await asyncio.shield(future)
            except websocket.Gone:
                raise absent(node) from None
            except TimeoutError:
                raise _late(node, _DIAL_SECONDS) from None
            await self._taken(node, stream)
            yield stream
        finally:
            self._waiting.pop(stream_id, None)
            if not future.done():
                future.cancel()
            elif not future.cancelled():
                stream = future.result()
                if not stream.ended:
                    with contextlib.suppress(websocket.Gone):
                        await control.send_text(msgspec.json.encode(tunnel.Cancel(stream=stream_id)))
                stream.released.set()

    async def reach(self, node: str) -> None:
        """Wait a moment for a node's agent; raises Fault 503 without one."""
        if not self._is_elsewhere(node):
            await self._control(node)

    def _is_elsewhere(self, node: str) -> bool:
        return self.elsewhere is not None and node not in self._connected and self.elsewhere.serves(node)

    async def _control(self, node: str) -> websocket.WebSocket:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RETURN_SECONDS):
                while node not in self._connected:
                    await self._arrival.wait()
        if node not in self._connected:
            raise absent(node)
        return self._connected[node][-1]

    async def _taken(self, node: str, stream: streams.Stream) -> None:
        try:
            async with asyncio.timeout(_TAKE_SECONDS):
                await stream.receive()
        except TimeoutError:
            raise _late(node, _TAKE_SECONDS) from None
        except streams.Ended as ended:
            raise refusal(ended.status) from None


def absent(node: str) -> faults.Fault:
    """503: nobody is there to carry it out."""
    return faults.unavailable(
        f"node {node} has no agent connection: check that the agent runs on that host and reaches this server "
        f"(boxfleet status there); instances go on running meanwhile"
    )


def broken(node: str) -> faults.Fault:
    """503: the agent went away in the middle."""
    return faults.unavailable(f"the agent of node {node} broke the stream off: try again")


class _Status(msgspec.Struct):
    status: str = ""
    message: str = ""
    reason: str = ""
    code: int = 500


def refusal(status: bytes | None) -> faults.Fault:
    """The failure that an agent's Status tells."""
    try:
        told = msgspec.json.decode(status or b"{}", type=_Status)
    except msgspec.MsgspecError:
        told = _Status()
    return faults.Fault(
        told.code, told.reason or "InternalError", told.message or "the agent broke the stream off: try again"
    )


def _late(node: str, seconds: float) -> faults.Fault:
    return faults.Fault(
        504,
        "Timeout",
        f"the agent of node {node} did not answer within {seconds:.0f} s: the host may be overloaded, "
        "or its way to this server cut",
    )
