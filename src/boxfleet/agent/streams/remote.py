"""Exec and attach: a runtime's session on one side, channels on the other."""

import asyncio
import pathlib
import time
from typing import Final

import msgspec

from boxfleet.agent.streams import lookup
from boxfleet.api import tunnel
from boxfleet.ports import runtime, streams

# A container that started this long before (seconds) is one that an attach meant to see from its beginning.
_FRESH: Final = 30.0
# A container's last output reaches its log a moment after the end is told (seconds).
_SETTLE: Final = (0.0, 0.02, 0.03, 0.05)


class _Size(msgspec.Struct, rename="pascal"):
    width: int
    height: int


async def run(
    engine: runtime.Runtime, order: tunnel.ExecOrder | tunnel.AttachOrder, channels: streams.Channels
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
        sent = await _bridge(session, order, channels)
        code = await session.exit_code()
        if isinstance(order, tunnel.AttachOrder) and not sent and order.stdout:
            await _refuse_if_missed(engine, container.id)
        return tunnel.exited(code)
    except runtime.RuntimeFault as error:
        raise _refusal(words, error) from error
    finally:
        await session.close()


async def _refuse_if_missed(engine: runtime.Runtime, container_id: str) -> None:
    """An attach shows what comes from then on: say so when a short command had written all of it before.

    kubectl then shows the log instead, as it does when the container has ended before it asks.
    """
    status = await engine.container_status(container_id)
    if not status.log_path or time.time() - status.started_at / 1e9 > _FRESH:
        return
    log = pathlib.Path(status.log_path)
    for pause in _SETTLE:
        await asyncio.sleep(pause)
        if log.exists() and log.stat().st_size:
            raise streams.Refusal("the container ended before its output could be attached to; its log has it")


def _refusal(words: str, error: runtime.RuntimeFault) -> streams.Refusal:
    # What comes out of the streams is worded by the runtime's own server already.
    cause = str(error).removeprefix("Internal error occurred: ").removeprefix(f"{words}: ")
    return streams.Refusal(f"{words}: {cause}")


async def _open(
    engine: runtime.Runtime, container_id: str, order: tunnel.ExecOrder | tunnel.AttachOrder
) -> runtime.Session:
    if isinstance(order, tunnel.ExecOrder):
        stderr = order.stderr and not order.tty
        return await engine.exec(container_id, order.command, stdin=order.stdin, tty=order.tty, stderr=stderr)
    return await engine.attach(container_id, stdin=order.stdin, tty=order.tty)


async def _bridge(
    session: runtime.Session, order: tunnel.ExecOrder | tunnel.AttachOrder, channels: streams.Channels
) -> int:
    """Copy both ways until the process ends; how many bytes it wrote. Raises Disconnected when the other side goes."""
    inward = asyncio.create_task(_inward(session, channels))
    outward = asyncio.create_task(_outward(session, order, channels))
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


async def _inward(session: runtime.Session, channels: streams.Channels) -> None:
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
    session: runtime.Session, order: tunnel.ExecOrder | tunnel.AttachOrder, channels: streams.Channels
) -> int:
    sent = 0
    wanted = {1: order.stdout, 2: order.stderr}
    async for number, data in session.output():
        if wanted.get(number):
            await channels.send(tunnel.Channel(number), data)
            sent += len(data)
    return sent
