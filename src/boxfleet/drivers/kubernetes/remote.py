"""Exec, attach, port-forward and logs by way of the cluster's API.

The first three are SPDY/3.1 over an upgraded request, as every server from 1.20 on serves them; unlike the WebSocket
protocols of old servers it can end a stream one way. Kubernetes' `v4.channel.k8s.io` has a stream for each of error,
stdin, stdout, stderr and resize, `portforward.k8s.io` one for errors and one for data, told apart by `streamtype`.
"""

import asyncio
import contextlib
import datetime
from collections.abc import Coroutine, Mapping
from typing import Any, Final

from boxfleet.api import tunnel
from boxfleet.drivers.kubernetes import connection, faults, names, settings, view
from boxfleet.kit import spdy
from boxfleet.ports import streams

_REMOTE: Final = "v4.channel.k8s.io"
_FORWARD: Final = "portforward.k8s.io"
_READ: Final = 64 * 1024
# Bytes of a Status, or of what went wrong with a port.
_MOST: Final = 64 * 1024


class Remote:
    """Carries orders out on one cluster."""

    def __init__(self, own: settings.Settings, via: connection.Connection, seen: view.View) -> None:
        self._own = own
        self._via = via
        self._view = seen

    async def run(
        self, order: tunnel.ExecOrder | tunnel.AttachOrder | tunnel.LogOrder | tunnel.ForwardOrder,
        channels: streams.Channels,
    ) -> bytes:  # fmt: skip
        """The Status to finish with. Raises ClusterFault, streams.Refusal and streams.Disconnected."""
        pod = self._view.pod_name(order.namespace, order.pod, order.uid)
        if pod is None:
            raise streams.Refusal(
                f"pod {order.pod} is not there now: it may be on its way, try again", code=404, reason="NotFound"
            )
        path = names.PODS.path(names.space_there(self._own, order.namespace), pod)
        try:
            if isinstance(order, tunnel.LogOrder):
                return await self._log(path, order, channels)
            if isinstance(order, tunnel.ForwardOrder):
                return await self._forward(path, order, channels)
            return await self._attach(path, order, channels)
        except (faults.NotFound, faults.Invalid) as error:
            code, reason = (404, "NotFound") if isinstance(error, faults.NotFound) else (400, "BadRequest")
            raise streams.Refusal(str(error), code=code, reason=reason) from None

    async def _attach(
        self, path: str, order: tunnel.ExecOrder | tunnel.AttachOrder, channels: streams.Channels
    ) -> bytes:
        stderr = order.stderr and not order.tty
        query = [("container", order.container)]
        wanted = {"stdin": order.stdin, "stdout": order.stdout, "stderr": stderr}
        query += [(name, "true") for name, is_wanted in wanted.items() if is_wanted]
        if order.tty:
            query.append(("tty", "true"))
        verb = "attach"
        if isinstance(order, tunnel.ExecOrder):
            verb = "exec"
            query += [("command", word) for word in order.command]
        session = await _Session.open(self._via, f"{path}/{verb}", query=query, protocol=_REMOTE)
        try:
            error = session.stream({"streamtype": "error"})
            inward: dict[int, int] = {}
            if order.stdin:
                inward[tunnel.Channel.STDIN] = session.stream({"streamtype": "stdin"})
            outward = {session.stream({"streamtype": "stdout"}): tunnel.Channel.STDOUT} if order.stdout else {}
            if stderr:
                outward[session.stream({"streamtype": "stderr"})] = tunnel.Channel.STDERR
            if order.tty:
                inward[tunnel.Channel.RESIZE] = session.stream({"streamtype": "resize"})
            await session.flush()
            await channels.send(tunnel.Channel.STDOUT, b"")
            said = await session.carry(channels, inward=inward, outward=outward, errors=error)
        finally:
            session.close()
        if not said:
            raise streams.Refusal("the cluster broke the stream off before it told the outcome", code=503)
        return said

    async def _forward(self, path: str, order: tunnel.ForwardOrder, channels: streams.Channels) -> bytes:
        query = [("ports", str(order.port))]
        session = await _Session.open(self._via, f"{path}/portforward", query=query, protocol=_FORWARD)
        try:
            about = {"port": str(order.port), "requestid": "0"}
            error = session.stream({"streamtype": "error", **about})
            # Nothing is sent on it.
            session.end(error)
            data = session.stream({"streamtype": "data", **about})
            await session.flush()
            await channels.send(tunnel.Channel.STDOUT, b"")
            said = await session.carry(
                channels, inward={tunnel.Channel.STDIN: data}, outward={data: tunnel.Channel.STDOUT}, errors=error
            )
        finally:
            session.close()
        if said:
            raise streams.Refusal(said.decode(errors="replace"))
        return tunnel.success()

    async def _log(self, path: str, order: tunnel.LogOrder, channels: streams.Channels) -> bytes:
        query = {"container": order.container}
        for name, is_wanted in (
            ("follow", order.follow),
            ("previous", order.previous),
            ("timestamps", order.timestamps),
        ):
            if is_wanted:
                query[name] = "true"
        if order.tail >= 0:
            query["tailLines"] = str(order.tail)
        if order.limit >= 0:
            query["limitBytes"] = str(order.limit)
        if order.since:
            query["sinceTime"] = f"{datetime.datetime.fromtimestamp(order.since, datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"
        await _until_gone(self._send_log(f"{path}/log", query, channels), channels)
        return tunnel.success()

    async def _send_log(self, path: str, query: Mapping[str, str], channels: streams.Channels) -> None:
        async with contextlib.aclosing(self._via.stream(path, query=query, silence=None)) as pieces:
            async for piece in pieces:
                for start in range(0, max(len(piece), 1), tunnel.CHUNK):
                    await channels.send(tunnel.Channel.STDOUT, piece[start : start + tunnel.CHUNK])


class _Session:
    """An upgraded connection with its streams."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._spdy = spdy.Connection(client=True)

    @classmethod
    async def open(
        cls, via: connection.Connection, path: str, *, query: list[tuple[str, str]], protocol: str
    ) -> "_Session":
        """Ask for it; raises ClusterFault."""
        return cls(*await via.upgrade(path, query=query, protocol=protocol))

    def stream(self, headers: Mapping[str, str]) -> int:
        """A new stream; `flush` sends it off."""
        return self._spdy.open(headers)

    def end(self, stream: int) -> None:
        """Say that nothing comes on it."""
        self._spdy.send(stream, b"", fin=True)

    async def flush(self) -> None:
        """Send what is to be sent; waits while the other side reads slowly."""
        try:
            if outgoing := self._spdy.outbox():
                self._writer.write(outgoing)
            await self._writer.drain()
        except OSError:
            # Reading tells.
            return

    def close(self) -> None:
        """Let go of it, also of what was not sent."""
        self._writer.transport.abort()

    async def carry(
        self,
        channels: streams.Channels,
        *,
        inward: Mapping[int, int],
        outward: Mapping[int, tunnel.Channel],
        errors: int,
    ) -> bytes:
        """Copy both ways until the streams outward have ended; what was said on the one for errors.

        Raises Disconnected when the other side goes.
        """
        said = bytearray()
        copying = asyncio.create_task(self._inward(channels, inward))
        reading = asyncio.create_task(self._outward(channels, outward, errors, said))
        try:
            await asyncio.wait((copying, reading), return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                copying.result()
                raise streams.Disconnected
            reading.result()
            return bytes(said)
        finally:
            copying.cancel()
            reading.cancel()
            await asyncio.gather(copying, reading, return_exceptions=True)

    async def _inward(self, channels: streams.Channels, inward: Mapping[int, int]) -> None:
        ended = False
        async for number, data in channels.receive():
            if number == tunnel.Channel.CLOSE and data[:1] == bytes([tunnel.Channel.STDIN]):
                stream = inward.get(tunnel.Channel.STDIN)
                if stream is not None and not ended:
                    ended = True
                    self._spdy.send(stream, b"", fin=True)
            elif (stream := inward.get(number)) is not None and data and not ended:
                self._spdy.send(stream, data)
            await self.flush()

    async def _outward(
        self, channels: streams.Channels, outward: Mapping[int, tunnel.Channel], errors: int, said: bytearray
    ) -> None:
        open_streams = {errors, *outward}
        while open_streams:
            try:
                data = await self._reader.read(_READ)
                events = self._spdy.receive(data)
            except (OSError, spdy.ProtocolError):
                return
            if not data:
                return
            for event in events:
                if isinstance(event, spdy.Data):
                    if event.stream in outward and event.data:
                        await channels.send(outward[event.stream], event.data)
                    elif event.stream == errors and len(said) < _MOST:
                        said += event.data
                    if event.fin:
                        open_streams.discard(event.stream)
                elif isinstance(event, spdy.Reset):
                    open_streams.discard(event.stream)
            await self.flush()


async def _until_gone(work: Coroutine[Any, Any, None], channels: streams.Channels) -> None:
    """Do it to its end, or until the other side goes, which raises Disconnected."""
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_gone(channels))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise streams.Disconnected
        working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _gone(channels: streams.Channels) -> None:
    async for _ in channels.receive():
        pass
