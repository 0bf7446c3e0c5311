"""Port-forward: one TCP connection into an instance."""

import asyncio
from typing import Final

from boxfleet.agent.streams import lookup
from boxfleet.api import tunnel
from boxfleet.ports import runtime, streams

_CONNECT_SECONDS: Final = 10.0


async def run(engine: runtime.Runtime, order: tunnel.ForwardOrder, channels: streams.Channels) -> bytes:
    """Carry a connection until both directions or the other side ended; the Status to finish with.

    An instance without an address of its own uses the host's network: its ports are on the loopback address.
    """
    box = await lookup.sandbox(engine, pod=order.pod, uid=order.uid)
    host = "127.0.0.1" if order.host_network else (await engine.sandbox_status(box.id)).ip
    if not host:
        raise streams.Refusal(f"pod {order.pod} has no address now: try again when it is ready")
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(host, order.port, limit=tunnel.CHUNK)
    except (OSError, TimeoutError) as error:
        cause = str(error) or f"no answer within {_CONNECT_SECONDS:.0f} s"
        raise streams.Refusal(
            f"error forwarding port {order.port} to pod {order.pod}, uid {order.uid}: cannot connect to {host}: {cause}"
        ) from error
    inward = asyncio.create_task(_inward(writer, channels))
    outward = asyncio.create_task(_outward(reader, channels))
    try:
        await channels.send(tunnel.Channel.STDOUT, b"")
        await asyncio.wait((inward, outward), return_when=asyncio.FIRST_COMPLETED)
        if not outward.done():
            # The other side has gone: it stays to the end even after it closed its own direction.
            inward.result()
            raise streams.Disconnected
        outward.result()
        return tunnel.success()
    except ConnectionError as error:
        raise streams.Refusal(f"port {order.port} of pod {order.pod} broke the connection: {error}") from error
    finally:
        inward.cancel()
        outward.cancel()
        await asyncio.gather(inward, outward, return_exceptions=True)
        # What is still to be written has a reader only after a regular end.
        if outward.cancelled():
            writer.transport.abort()
        else:
            writer.close()


async def _inward(writer: asyncio.StreamWriter, channels: streams.Channels) -> None:
    deaf = False
    async for number, data in channels.receive():
        if deaf:
            continue
        try:
            if number == tunnel.Channel.STDIN and data:
                writer.write(data)
                await writer.drain()
            elif number == tunnel.Channel.CLOSE and data[:1] == bytes([tunnel.Channel.STDIN]):
                writer.write_eof()
        except OSError:
            # What the port still has to say comes by the other direction, and so does the error.
            deaf = True


async def _outward(reader: asyncio.StreamReader, channels: streams.Channels) -> None:
    while data := await reader.read(tunnel.CHUNK):
        await channels.send(tunnel.Channel.STDOUT, data)
