"""pods/exec and pods/attach over WebSocket, and over SPDY for kubectl before 1.30.

Subprotocols `v5.channel.k8s.io` and `v4.channel.k8s.io`: the first byte of a binary message is the channel. They are
what server and agent speak too, so that messages pass through as they are.
"""

import asyncio
from typing import Final, Protocol

import msgspec

from boxfleet.api import pod, tunnel
from boxfleet.apiserver import faults, route
from boxfleet.apiserver.audit import sessions as sessions_
from boxfleet.apiserver.streams import agents, spdy_channels, streams, target, websocket

PROTOCOLS: Final = ("v5.channel.k8s.io", "v4.channel.k8s.io", spdy_channels.PROTOCOL)
# While the agent takes no input, the user's side is not read: only writing shows whether it is still there.
_PROBE_SECONDS: Final = 15.0
_FROM_USER: Final = (tunnel.Channel.STDIN, tunnel.Channel.RESIZE, tunnel.Channel.CLOSE)
_TO_USER: Final = (tunnel.Channel.STDOUT, tunnel.Channel.STDERR)


class Remote:
    """Handlers of exec and attach."""

    def __init__(self, connected: agents.Agents, find_pod: target.FindPod, sessions: sessions_.Sessions | None) -> None:
        self._agents = connected
        self._sessions = sessions
        self._find_pod = find_pod

    async def exec(self, call: route.Call) -> None:
        """WebSocket on pods/exec."""
        await self._serve(call, *await self._exec_order(call))

    async def attach(self, call: route.Call) -> None:
        """WebSocket on pods/attach."""
        await self._serve(call, *await self._attach_order(call))

    async def exec_plain(self, call: route.Call) -> route.Answer:
        """The same path without a WebSocket, which kubectl tries after any refusal: what is wrong, or what it takes."""
        node, _ = await self._exec_order(call)
        self._agents.require(node)
        raise upgrade_required()

    async def attach_plain(self, call: route.Call) -> route.Answer:
        """The same path without a WebSocket, which kubectl tries after any refusal: what is wrong, or what it takes."""
        node, _ = await self._attach_order(call)
        self._agents.require(node)
        raise upgrade_required()

    async def _exec_order(self, call: route.Call) -> tuple[str, tunnel.ExecOrder]:
        namespace, found, stdin, stdout, stderr, tty = await self._common(call)
        command = call.query.get("command", [])
        if not command:
            raise faults.bad_request("you must specify at least one command for the container")
        order = tunnel.ExecOrder(
            namespace=namespace,
            pod=found.metadata.name,
            uid=found.metadata.uid,
            container=target.container(found, call.one("container")),
            command=command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            tty=tty,
        )
        return target.node(found), order

    async def _attach_order(self, call: route.Call) -> tuple[str, tunnel.AttachOrder]:
        namespace, found, stdin, stdout, stderr, tty = await self._common(call)
        order = tunnel.AttachOrder(
            namespace=namespace,
            pod=found.metadata.name,
            uid=found.metadata.uid,
            container=target.container(found, call.one("container")),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            tty=tty,
        )
        return target.node(found), order

    async def _common(self, call: route.Call) -> tuple[str, pod.Pod, bool, bool, bool, bool]:
        namespace = call.params["namespace"]
        found = await self._find_pod(namespace, call.params["name"])
        stdin, stdout, stderr, tty = (target.flag(call, name) for name in ("stdin", "stdout", "stderr", "tty"))
        if not (stdin or stdout or stderr):
            raise faults.bad_request("you must specify at least 1 of stdin, stdout, stderr")
        if tty and stderr:
            raise faults.bad_request("tty and stderr cannot both be true")
        target.refuse_finished(found)
        return namespace, found, stdin, stdout, stderr, tty

    async def _serve(self, call: route.Call, node: str, order: tunnel.ExecOrder | tunnel.AttachOrder) -> None:
        user = websocket.WebSocket(call.scope, call.receive, call.send, audit_id=call.audit_id)
        chosen = next((one for one in PROTOCOLS if one in user.offered), None)
        if chosen is None:
            raise faults.bad_request(f"unable to upgrade: none of {user.offered} is one of {list(PROTOCOLS)}")
        # Until the handshake is accepted a refusal is a plain HTTP answer; after it, the stream's Status.
        await self._agents.reach(node)
        recording = self._record(call, order)
        try:
            await user.accept(subprotocol=chosen)
            messages: _Messages = user
            if chosen == spdy_channels.PROTOCOL:
                messages = channels = spdy_channels.SpdyChannels(user)
                await channels.begin(stdin=order.stdin, stdout=order.stdout, stderr=order.stderr, tty=order.tty)
            await messages.send(bytes([tunnel.Channel.ERROR]) + await self._status(messages, node, order, recording))
        except websocket.Gone:
            return
        finally:
            if recording is not None:
                recording.end()
            await user.close()

    def _record(self, call: route.Call, order: tunnel.ExecOrder | tunnel.AttachOrder) -> sessions_.Recording | None:
        """Raises Fault 503 when what is to be recorded cannot be."""
        if not call.recording or self._sessions is None:
            return None
        what = " ".join(order.command) if isinstance(order, tunnel.ExecOrder) else "attach"
        title = f"{call.user.name} in {order.namespace}/{order.pod} {order.container}: {what}"
        return self._sessions.begin(call.recording, title=title, user=call.user.name, tty=order.tty)

    async def _status(
        self,
        user: "_Messages",
        node: str,
        order: tunnel.ExecOrder | tunnel.AttachOrder,
        recording: sessions_.Recording | None,
    ) -> bytes:
        try:
            async with self._agents.open(node, order) as stream:
                ended = await _relay(user, stream, recording)
                return ended or msgspec.json.encode(agents.broken(node).status())
        except faults.Fault as fault:
            return msgspec.json.encode(fault.status())


class _Messages(Protocol):
    """The user's side: messages with their channel in front. Both raise Gone."""

    async def receive(self) -> bytes:
        """The next message."""

    async def send(self, data: bytes) -> None:
        """Send a message."""


def upgrade_required() -> faults.Fault:
    """400 to a client that asked for neither a WebSocket nor SPDY."""
    return faults.bad_request("unable to upgrade: ask for a WebSocket, or for SPDY/3.1, with POST and without a body")


async def _relay(user: _Messages, stream: streams.Stream, recording: sessions_.Recording | None) -> bytes | None:
    """Pass messages both ways until the agent's Status, which is returned.

    Raises Gone when the user leaves, and Fault 503 when what is recorded cannot be any more.
    """
    inward = asyncio.create_task(_inward(user, stream, recording))
    outward = asyncio.create_task(_outward(user, stream, recording))
    try:
        await asyncio.wait((inward, outward), return_when=asyncio.FIRST_COMPLETED)
        if outward.done():
            return outward.result()
        inward.result()
        raise websocket.Gone
    finally:
        inward.cancel()
        outward.cancel()
        await asyncio.gather(inward, outward, return_exceptions=True)


async def _inward(user: _Messages, stream: streams.Stream, recording: sessions_.Recording | None) -> None:
    while True:
        message = await user.receive()
        if not message or message[0] not in _FROM_USER:
            continue
        if recording is not None:
            _record_input(recording, message)
        while not await _passed(stream, message):
            await user.send(bytes([tunnel.Channel.STDOUT]))


def _record_input(recording: sessions_.Recording, message: bytes) -> None:
    if message[0] == tunnel.Channel.STDIN:
        recording.input(message[1:])
    elif message[0] == tunnel.Channel.RESIZE:
        recording.resize(message[1:])


async def _passed(stream: streams.Stream, message: bytes) -> bool:
    """Pass a message on; false when the agent has not taken it for a while. A message waits whole or is sent whole."""
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            await stream.forward(message)
    except TimeoutError:
        return False
    return True


async def _outward(user: _Messages, stream: streams.Stream, recording: sessions_.Recording | None) -> bytes | None:
    while True:
        try:
            channel, data = await stream.receive()
        except streams.Ended as ended:
            return ended.status
        if channel in _TO_USER:
            if recording is not None:
                recording.output(data, error=channel == tunnel.Channel.STDERR)
            await user.send(bytes([channel]) + data)
