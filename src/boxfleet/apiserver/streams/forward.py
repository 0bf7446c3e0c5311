"""pods/portforward: SPDY/3.1 frames inside a WebSocket (`SPDY/3.1+portforward.k8s.io`), or bare for older ones.

For every connection that kubectl takes, it opens two SPDY streams with the same `requestid`: one for errors, one for
data. Each pair becomes one stream of the agent.
"""

import asyncio
import contextlib
from typing import Final

import msgspec

from boxfleet.api import tunnel
from boxfleet.apiserver import faults, route
from boxfleet.apiserver.streams import agents, remote, streams, target, websocket
from boxfleet.kit import spdy

PROTOCOL: Final = "SPDY/3.1+portforward.k8s.io"
# Messages that wait for the agent, for each connection; then the user's side is not read.
_WAITING: Final = 16
# Meanwhile only writing shows whether the user's side is still there (seconds).
_PROBE_SECONDS: Final = 15.0


class Forward:
    """Handlers of port-forward."""

    def __init__(self, connected: agents.Agents, find_pod: target.FindPod) -> None:
        self._agents = connected
        self._find_pod = find_pod

    async def forward(self, call: route.Call) -> None:
        """WebSocket on pods/portforward."""
        node, order = await self._order(call)
        user = websocket.WebSocket(call.scope, call.receive, call.send, audit_id=call.audit_id)
        if PROTOCOL not in user.offered:
            raise faults.bad_request(f"unable to upgrade: none of {user.offered} is {PROTOCOL}")
        await self._agents.reach(node)
        try:
            await user.accept(subprotocol=PROTOCOL)
            await _Forwarding(self._agents, node, order, user).run()
        except websocket.Gone:
            return
        finally:
            await user.close()

    async def forward_plain(self, call: route.Call) -> route.Answer:
        """The same path without a WebSocket, which kubectl tries after any refusal: what is wrong, or what it takes."""
        node, _ = await self._order(call)
        self._agents.require(node)
        raise remote.upgrade_required()

    async def _order(self, call: route.Call) -> tuple[str, tunnel.ForwardOrder]:
        namespace = call.params["namespace"]
        found = await self._find_pod(namespace, call.params["name"])
        name = found.metadata.name
        node = target.node(found)
        if found.status.has_ended:
            raise faults.bad_request(f"unable to forward port because pod {name} has ended: {found.status.phase}")
        order = tunnel.ForwardOrder(
            namespace=namespace, pod=name, uid=found.metadata.uid, port=0, host_network=found.spec.hostNetwork
        )
        return node, order


class _Pair:
    """The two SPDY streams of one connection, as far as they are open."""

    def __init__(self, port: str) -> None:
        self.port = port
        self.error = 0
        self.data = 0
        # None is the end of the user's data.
        self.inbox: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING)
        self.task: asyncio.Task[None] | None = None
        self.started = False
        self.reset = False

    def finish(self) -> None:
        """Take no more data, and let go of who waits to hand some in."""
        while not self.inbox.empty():
            self.inbox.get_nowait()


class _Forwarding:
    """One kubectl port-forward."""

    def __init__(
        self, connected: agents.Agents, node: str, order: tunnel.ForwardOrder, user: websocket.WebSocket
    ) -> None:
        self._agents = connected
        self._node = node
        self._order = order
        self._user = user
        self._spdy = spdy.Connection(client=False)
        # Frames must leave in the order they were made: their headers share one compression.
        self._sending = asyncio.Lock()
        self._pairs: dict[str, _Pair] = {}
        self._by_stream: dict[int, _Pair] = {}

    async def run(self) -> None:
        """Serve until the user leaves, or speaks nonsense."""
        async with asyncio.TaskGroup() as group:
            try:
                while True:
                    for event in self._spdy.receive(await self._user.receive()):
                        await self._handle(event, group)
                    await self._flush()
            except (websocket.Gone, spdy.ProtocolError):
                for pair in self._pairs.values():
                    if pair.task is not None:
                        pair.task.cancel()

    async def _handle(self, event: spdy.Event, group: asyncio.TaskGroup) -> None:
        if isinstance(event, spdy.Opened):
            self._opened(event, group)
            return
        if not isinstance(event, spdy.Data | spdy.Reset):
            return
        pair = self._by_stream.get(event.stream)
        if pair is None or event.stream != pair.data:
            return
        if isinstance(event, spdy.Reset):
            pair.reset = True
            # A task that is cancelled before its first step could not tidy up.
            if pair.task is not None and pair.started:
                pair.task.cancel()
            return
        if event.data:
            await self._put(pair, event.data)
        if event.fin:
            await self._put(pair, None)

    def _opened(self, event: spdy.Opened, group: asyncio.TaskGroup) -> None:
        kind, port = event.headers.get("streamtype", ""), event.headers.get("port", "")
        # Clients before request ids opened the streams of one port at a time.
        request = event.headers.get("requestid", f"port {port}")
        pair = self._pairs.setdefault(request, _Pair(port))
        if kind not in ("error", "data") or getattr(pair, kind) or pair.port != port:
            self._spdy.reset(event.stream, spdy.REFUSED_STREAM)
            return
        setattr(pair, kind, event.stream)
        self._by_stream[event.stream] = pair
        self._spdy.reply(event.stream)
        if pair.error and pair.data:
            pair.task = group.create_task(self._carry(request, pair))

    async def _put(self, pair: _Pair, data: bytes | None) -> None:
        while pair.data in self._by_stream:
            try:
                async with asyncio.timeout(_PROBE_SECONDS):
                    await pair.inbox.put(data)
                    return
            except TimeoutError:
                self._spdy.ping()
                await self._flush()

    async def _carry(self, request: str, pair: _Pair) -> None:
        """One connection from its beginning to its end."""
        error = ""
        pair.started = True
        try:
            if not pair.reset:
                error = await self._connection(pair)
        except faults.Fault as fault:
            error = fault.message
        finally:
            for stream in (pair.data, pair.error):
                self._by_stream.pop(stream, None)
            self._pairs.pop(request, None)
            pair.finish()
            self._spdy.send(pair.error, error.encode(), fin=True)
            self._spdy.send(pair.data, b"", fin=True)
            with contextlib.suppress(websocket.Gone):
                await self._flush()

    async def _connection(self, pair: _Pair) -> str:
        """Carry the data; what went wrong, empty when nothing."""
        if not pair.port.isdecimal() or not 0 < int(pair.port) < 65536:
            return f"invalid port {pair.port!r}"
        order = msgspec.structs.replace(self._order, port=int(pair.port))
        async with self._agents.open(self._node, order) as stream:
            inward = asyncio.create_task(_inward(pair, stream))
            try:
                while True:
                    channel, data = await stream.receive()
                    if channel == tunnel.Channel.STDOUT and data:
                        self._spdy.send(pair.data, data)
                        await self._flush()
            except streams.Ended as ended:
                if ended.status is None or b'"Success"' not in ended.status:
                    return agents.refusal(ended.status).message
                return ""
            except websocket.Gone:
                return ""
            finally:
                inward.cancel()
                await asyncio.gather(inward, return_exceptions=True)

    async def _flush(self) -> None:
        async with self._sending:
            if frames := self._spdy.outbox():
                await self._user.send(frames)


async def _inward(pair: _Pair, stream: streams.Stream) -> None:
    while (data := await pair.inbox.get()) is not None:
        await stream.send(tunnel.Channel.STDIN, data)
    await stream.send(tunnel.Channel.CLOSE, bytes([tunnel.Channel.STDIN]))
