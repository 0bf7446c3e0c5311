"""Exec and attach: a runtime's session on one side, channels on the other."""

import asyncio

import msgspec

from boxfleet.agent.streams import channel, lookup
from boxfleet.api import tunnel
from boxfleet.ports import runtime


class _Size(msgspec.Struct, rename="pascal"):
    width: int
    height: int


async def run(
    engine: runtime.Runtime, order: tunnel.ExecOrder | tunnel.AttachOrder, channels: channel.Channels
) -> bytes:
    """Carry the streams until the process or the other side ends; the Status to finish with."""
    container = await lookup.running(engine, uid=order.uid, name=order.container)
    await channels.send(tunnel.Channel.STDOUT, b"")
    if isinstance(order, tunnel.ExecOrder):
        words = "error executing command in container"
    else:
        words = "error attaching to container"
    try:
        session = await _open(engine, container.id, order)
    except runtime.RuntimeFault as error:
        raise _refusal(words, error) from error
    try:
        if await _bridge(session, order, channels):
            return tunnel.exited(await session.exit_code())
        raise channel.Disconnected
    except runtime.RuntimeFault as error:
        raise _refusal(words, error) from error
    finally:
        await session.close()


def _refusal(words: str, error: runtime.RuntimeFault) -> channel.Refusal:
    # What comes out of the streams is worded by the runtime's own server already.
    cause = str(error).removeprefix("Internal error occurred: ").removeprefix(f"{words}: ")
    return channel.Refusal(f"{words}: {cause}")


async def _open(
    engine: runtime.Runtime, container_id: str, order: tunnel.ExecOrder | tunnel.AttachOrder
) -> runtime.Session:
    if isinstance(order, tunnel.ExecOrder):
        stderr = order.stderr and not order.tty
        return await engine.exec(container_id, order.command, stdin=order.stdin, tty=order.tty, stderr=stderr)
    return await engine.attach(container_id, stdin=order.stdin, tty=order.tty)


async def _bridge(
    session: runtime.Session, order: tunnel.ExecOrder | tunnel.AttachOrder, channels: channel.Channels
) -> bool:
    """Copy both ways; true when the process ended, false when the other side did."""
    inward = asyncio.create_task(_inward(session, channels))
    outward = asyncio.create_task(_outward(session, order, channels))
    try:
        await asyncio.wait((inward, outward), return_when=asyncio.FIRST_COMPLETED)
        if outward.done():
            outward.result()
            return True
        inward.result()
        return False
    finally:
        inward.cancel()
        outward.cancel()
        await asyncio.gather(inward, outward, return_exceptions=True)


async def _inward(session: runtime.Session, channels: channel.Channels) -> None:
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
        except runtime.RuntimeFault:
            # The outcome is told by the output's end.
            deaf = True


async def _outward(
    session: runtime.Session, order: tunnel.ExecOrder | tunnel.AttachOrder, channels: channel.Channels
) -> None:
    wanted = {1: order.stdout, 2: order.stderr}
    async for number, data in session.output():
        if wanted.get(number):
            await channels.send(tunnel.Channel(number), data)
