"""Exec, attach, logs and port-forward: an engine's streams on one side, channels on the other."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from typing import Final, Protocol

import aiohttp
import msgspec

from boxfleet.api import tunnel
from boxfleet.drivers.docker import connection, duplex, execs, faults, frames, given, marks, model, view
from boxfleet.ports import cluster, streams

_CONNECT_SECONDS: Final = 10.0
# Programs that carry a connection from inside, where addresses cannot be reached; $1 is the port.
_CARRIER: Final = (
    'if command -v socat >/dev/null; then exec socat - "TCP:127.0.0.1:$1"; '
    'elif command -v nc >/dev/null; then exec nc 127.0.0.1 "$1"; '
    'elif command -v bash >/dev/null; then exec bash -c "exec 3<>/dev/tcp/127.0.0.1/$1 4<&0; '
    'cat <&4 >&3 2>/dev/null & exec cat <&3"; '
    "else exit 127; fi"
)


class _Size(msgspec.Struct, rename="pascal"):
    width: int
    height: int


class _Session(Protocol):
    async def send_stdin(self, data: bytes) -> None: ...
    async def close_stdin(self) -> None: ...
    async def resize(self, *, width: int, height: int) -> None: ...
    def output(self) -> AsyncIterator[tuple[int, bytes]]: ...
    def close(self) -> None: ...


async def run(
    link: connection.Connection,
    fleet: str,
    engine: given.Engine,
    order: tunnel.Order,
    channels: streams.Channels,
) -> bytes:
    """Carry an order out; the Status to finish with. Raises Refusal, Disconnected and ClusterFaults."""
    if isinstance(order, tunnel.UsageOrder):
        raise streams.Refusal("usage is no stream here", code=400, reason="BadRequest")
    made = [
        one
        for one in await view.made_for(link, fleet, marks.Instance(namespace=order.namespace, name=order.pod))
        if one.mark.uid == order.uid
    ]
    # A Swarm keeps what ran before for a while.
    made.sort(key=lambda one: (one.state.status == "running", one.created), reverse=True)
    if isinstance(order, tunnel.ForwardOrder):
        return await _forward(link, engine, order, made, channels)
    found = next((one for one in made if one.mark.container == order.container), None)
    if isinstance(order, tunnel.LogOrder):
        started = found is not None and found.was_started
        path = f"/containers/{found.id if found is not None else ''}"
        tty = found is not None and found.config.tty
        return await logs(link, order, channels, path=path, started=started, tty=tty)
    if found is None or found.state.status != "running":
        raise streams.Refusal(
            f'container "{order.container}" of pod "{order.pod}" does not run now', code=404, reason="NotFound"
        )
    if isinstance(order, tunnel.ExecOrder):
        return await _exec(link, order, found, channels)
    return await _attach(link, order, found, channels)


async def _exec(
    link: connection.Connection, order: tunnel.ExecOrder, one: model.Container, channels: streams.Channels
) -> bytes:
    words = "error executing command in container"
    try:
        exec_id, session = await execs.begin(
            link, one.id, order.command, stdin=order.stdin, tty=order.tty, stderr=order.stderr and not order.tty
        )
    except faults.NotFound as error:
        raise streams.Refusal(f"{words}: {error}", code=404, reason="NotFound") from None
    try:
        await channels.send(tunnel.Channel.STDOUT, b"")
        await _bridge(session, channels, stdout=order.stdout, stderr=order.stderr)
        return tunnel.exited(await execs.exit_code(link, exec_id))
    finally:
        session.close()


async def _attach(
    link: connection.Connection, order: tunnel.AttachOrder, one: model.Container, channels: streams.Channels
) -> bytes:
    query = f"stream=1&stdout=1&stderr=1&stdin={1 if order.stdin and one.config.open_stdin else 0}"
    path = f"/containers/{one.id}"
    line = await link.upgraded(f"{path}/attach?{query}", None)
    session = execs.Session(link, line, path=path, tty=one.config.tty)
    try:
        await channels.send(tunnel.Channel.STDOUT, b"")
        await _bridge(session, channels, stdout=order.stdout, stderr=order.stderr)
        with contextlib.suppress(faults.NotFound):
            found = model.read(await link.call("GET", f"{path}/json"))
            return tunnel.exited(found.state.exit_code)
        return tunnel.success()
    finally:
        session.close()


async def _bridge(session: _Session, channels: streams.Channels, *, stdout: bool, stderr: bool) -> int:
    """Copy both ways until the process ends; how many bytes it said. Raises Disconnected when the other side goes."""
    inward = asyncio.create_task(_inward(session, channels))
    outward = asyncio.create_task(_outward(session, channels, stdout=stdout, stderr=stderr))
    try:
        await asyncio.wait((inward, outward), return_when=asyncio.FIRST_COMPLETED)
        if outward.done():
            return outward.result()
        inward.result()
        raise streams.Disconnected
    finally:
        inward.cancel()
        outward.cancel()
        await asyncio.gather(inward, outward, return_exceptions=True)


async def _inward(session: _Session, channels: streams.Channels) -> None:
    """Returns when the other side has gone. A process that no longer reads does not end its output."""
    deaf = False
    async for number, data in channels.receive():
        if deaf:
            continue
        try:
            if number == tunnel.Channel.STDIN and data:
                await session.send_stdin(data)
            elif number == tunnel.Channel.CLOSE and data[:1] == bytes([tunnel.Channel.STDIN]):
                await session.close_stdin()
            elif number == tunnel.Channel.RESIZE:
                size = msgspec.json.decode(data, type=_Size)
                await session.resize(width=size.width, height=size.height)
        except msgspec.MsgspecError:
            # A size that makes no sense changes nothing.
            continue
        except (OSError, cluster.ClusterFault):
            # The outcome is told by the output's end.
            deaf = True


async def _outward(session: _Session, channels: streams.Channels, *, stdout: bool, stderr: bool) -> int:
    sent = 0
    wanted = {frames.STDOUT: stdout, frames.STDERR: stderr}
    try:
        async for number, data in session.output():
            if wanted[number]:
                await channels.send(tunnel.Channel(number), data)
                sent += len(data)
    except OSError as error:
        raise streams.Refusal(f"the engine broke the stream: {error}") from error
    return sent


async def logs(
    link: connection.Connection,
    order: tunnel.LogOrder,
    channels: streams.Channels,
    *,
    path: str,
    started: bool,
    tty: bool,
) -> bytes:
    """Send a log that the engine has under a path. Raises Refusal, Disconnected and ClusterFaults."""
    if not started:
        raise streams.Refusal(
            f'container "{order.container}" in pod "{order.pod}" is waiting to start - no logs yet',
            code=400,
            reason="ContainerNotStarted",
        )
    if order.previous:
        raise streams.Refusal(
            f'previous terminated container "{order.container}" in pod "{order.pod}" not found: a Docker engine starts '
            "a container again in place, and keeps one log of all its runs; leave --previous out",
            code=400,
            reason="BadRequest",
        )
    params = {
        "stdout": True,
        "stderr": True,
        "follow": order.follow,
        "timestamps": order.timestamps,
        "since": f"{order.since:.9f}" if order.since else "0",
        "tail": str(order.tail) if order.tail >= 0 else "all",
    }
    async with link.open("GET", f"{path}/logs", params=params, seconds=None) as answer:
        await channels.send(tunnel.Channel.STDOUT, b"")
        sending = asyncio.create_task(_send(answer, order, channels, tty=tty))
        gone = asyncio.create_task(_gone(channels))
        try:
            await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                raise streams.Disconnected
            sending.result()
        finally:
            sending.cancel()
            gone.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)
    return tunnel.success()


async def _send(
    answer: aiohttp.ClientResponse, order: tunnel.LogOrder, channels: streams.Channels, *, tty: bool
) -> None:
    left = order.limit if order.limit >= 0 else None
    try:
        async for _, data in frames.read(answer.content, tty=tty):
            text = data if left is None else data[:left]
            if text:
                await channels.send(tunnel.Channel.STDOUT, text)
            if left is not None:
                left -= len(text)
                if left <= 0:
                    return
    except (aiohttp.ClientError, OSError, struct.error) as error:
        raise cluster.Unreachable(f"the engine broke the log: {error}") from error


async def _gone(channels: streams.Channels) -> None:
    async for _ in channels.receive():
        pass


class _Socket:
    """A TCP connection as a session."""

    def __init__(self, line: duplex.Line) -> None:
        self._line = line

    async def send_stdin(self, data: bytes) -> None:
        await self._line.write(data)

    async def close_stdin(self) -> None:
        await self._line.end()

    async def resize(self, *, width: int, height: int) -> None:
        return

    def output(self) -> AsyncIterator[tuple[int, bytes]]:
        return frames.read(self._line, tty=True)

    def close(self) -> None:
        self._line.abort()


async def _forward(
    link: connection.Connection,
    engine: given.Engine,
    order: tunnel.ForwardOrder,
    made: list[model.Container],
    channels: streams.Channels,
) -> bytes:
    running = [one for one in made if one.state.status == "running" and one.mark.role in ("main", "sidecar")]
    if not running:
        raise streams.Refusal(f"pod {order.pod} does not run now: try again when it is ready")
    address = next((one.ip for one in made if one.ip), "")
    if engine.reachable and address:
        return await _connect(address, order, channels)
    exec_id, session = await _carrier(link, running[0], order)
    try:
        await channels.send(tunnel.Channel.STDOUT, b"")
        # What the program complains of is no part of the connection.
        sent = await _bridge(session, channels, stdout=True, stderr=False)
        code = await execs.exit_code(link, exec_id)
        if code == 127:
            raise streams.Refusal(
                f"cannot forward port {order.port} of pod {order.pod}: its address cannot be reached from Boxfleet, "
                "and the container has neither socat nor nc nor bash to carry the connection from inside"
            )
        if code and not sent:
            raise streams.Refusal(
                f"error forwarding port {order.port} to pod {order.pod}, uid {order.uid}: nobody listens there"
            )
        return tunnel.success()
    finally:
        session.close()


async def _carrier(
    link: connection.Connection, one: model.Container, order: tunnel.ForwardOrder
) -> tuple[str, execs.Session]:
    command = ["sh", "-c", _CARRIER, "sh", str(order.port)]
    return await execs.begin(link, one.id, command, stdin=True, tty=False)


async def _connect(address: str, order: tunnel.ForwardOrder, channels: streams.Channels) -> bytes:
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(address, order.port, limit=tunnel.CHUNK)
    except (OSError, TimeoutError) as error:
        cause = str(error) or f"no answer within {_CONNECT_SECONDS:.0f} s"
        raise streams.Refusal(
            f"error forwarding port {order.port} to pod {order.pod}, uid {order.uid}: "
            f"cannot connect to {address}: {cause}"
        ) from error
    session = _Socket(duplex.Plain(reader, writer))
    try:
        await channels.send(tunnel.Channel.STDOUT, b"")
        await _bridge(session, channels, stdout=True, stderr=False)
        return tunnel.success()
    finally:
        session.close()
