"""Logs of a container: read from its files, followed until it ends."""

import asyncio
import pathlib
from typing import Final

from boxfleet.agent.streams import inotify, log_files, log_lines, lookup
from boxfleet.api import tunnel
from boxfleet.ports import runtime, streams

# Without any sign of an end, the container's state is still looked at this often (seconds).
_CHECK_SECONDS: Final = 10.0
# After a run's end, or a rotation, its last lines are still on their way into the old file.
_SETTLE_SECONDS: Final = 0.1
# Lines that come one by one are gathered for this long.
_GATHER_SECONDS: Final = 0.02


async def run(
    engine: runtime.Runtime, directory: pathlib.Path, order: tunnel.LogOrder, channels: streams.Channels
) -> bytes:
    """Send a container's log; the Status to finish with. `directory` holds the files of all its runs."""
    attempt, container_id = await _choose(engine, directory, order)
    await channels.send(tunnel.Channel.STDOUT, b"")
    source = _Source(engine, directory / f"{attempt}.log", container_id)
    sending = asyncio.create_task(_send(source, order, channels))
    gone = asyncio.create_task(_gone(channels))
    try:
        await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
        if not sending.done():
            raise streams.Disconnected
        sending.result()
        return tunnel.success()
    finally:
        sending.cancel()
        gone.cancel()
        await asyncio.gather(sending, gone, return_exceptions=True)
        source.close()


async def _choose(engine: runtime.Runtime, directory: pathlib.Path, order: tunnel.LogOrder) -> tuple[int, str]:
    """Which run of the container is meant: its number, and its id while the runtime has it."""
    runs: dict[int, runtime.Container] = {}
    try:
        for one in await lookup.containers(engine, uid=order.uid, name=order.container):
            # Re-inserted, so that the last key is the newest run.
            runs.pop(one.attempt, None)
            runs[one.attempt] = one
    except runtime.Unavailable as error:
        # The files tell enough, except whether the container still runs.
        if order.follow:
            raise streams.Refusal(
                f"cannot follow the log: {error}; without following it can be read",
                code=503,
                reason="ServiceUnavailable",
            ) from error
        runs.clear()
    known = log_files.attempts(directory) | set(runs)
    if not known:
        raise streams.Refusal(
            f'container "{order.container}" in pod "{order.pod}" is waiting to start - no logs yet',
            code=400,
            reason="ContainerNotStarted",
        )
    newest = next(reversed(runs)) if runs else max(known)
    if not order.previous:
        return newest, runs[newest].id if newest in runs else ""
    if order.waiting and newest in runs and runs[newest].state is runtime.State.EXITED:
        return newest, ""
    older = [attempt for attempt in known if attempt < newest]
    if not older:
        raise streams.Refusal(
            f'previous terminated container "{order.container}" in pod "{order.pod}" not found',
            code=400,
            reason="BadRequest",
        )
    return max(older), ""


async def _send(source: "_Source", order: tunnel.LogOrder, channels: streams.Channels) -> None:
    joiner = log_lines.Joiner(timestamps=order.timestamps, since=order.since)
    left = order.limit if order.limit >= 0 else None
    await source.open(follow=order.follow, tail=order.tail)
    while left is None or left > 0:
        block = await source.read()
        text = joiner.feed(block) if block else joiner.finish()
        if left is not None:
            text = text[:left]
            left -= len(text)
        for start in range(0, len(text), tunnel.CHUNK):
            await channels.send(tunnel.Channel.STDOUT, text[start : start + tunnel.CHUNK])
        if not block:
            return
        # Reading from the page cache never waits: others want a turn.
        await asyncio.sleep(0)


async def _gone(channels: streams.Channels) -> None:
    async for _ in channels.receive():
        pass


class _Source:
    """The bytes of one run's log, to its end or, when followed, to the end of the run."""

    def __init__(self, engine: runtime.Runtime, path: pathlib.Path, container_id: str) -> None:
        self._engine = engine
        self._container_id = container_id
        self._files = log_files.LogFiles(path)
        self._watch: inotify.Watch | None = None
        self._settling = False
        self._check_after = _CHECK_SECONDS

    async def open(self, *, follow: bool, tail: int) -> None:
        """Open the files; a run that has ended is followed only until its last lines are there."""
        self._settling = follow and await self._ended()
        if follow and not self._settling:
            # Watch first, so that nothing happens unseen between reading and waiting.
            self._watch = inotify.Watch(self._files.path.parent)
        self._files.open()
        if tail >= 0:
            await self._files.seek_tail(tail)

    def close(self) -> None:
        """Let go of files and watch."""
        self._files.close()
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    async def read(self) -> bytes:
        """The next bytes; none at the end."""
        while True:
            if block := self._files.read():
                return block
            if self._files.rotated():
                if self._files.current is not None:
                    await asyncio.sleep(_SETTLE_SECONDS)
                    if block := self._files.read():
                        return block
                self._files.step()
                continue
            if self._watch is not None:
                await self._wait(self._watch)
            elif self._settling:
                # Over when nothing more comes for a while.
                await asyncio.sleep(_SETTLE_SECONDS)
                block = self._files.read()
                self._settling = bool(block)
                return block
            else:
                return b""

    async def _wait(self, watch: inotify.Watch) -> None:
        """Return when something may have been written; forget the watch when the run has ended."""
        try:
            async with asyncio.timeout(self._check_after):
                change = await watch.changed()
        except TimeoutError:
            self._check_after = min(_CHECK_SECONDS, self._check_after * 2)
        else:
            if not change & inotify.Change.CLOSE_WRITE:
                await asyncio.sleep(_GATHER_SECONDS)
                return
            # The runtime closes the file when the run ends, a moment before or after it says so.
            self._check_after = _GATHER_SECONDS
        if await self._ended():
            watch.close()
            self._watch = None
            self._settling = True

    async def _ended(self) -> bool:
        if not self._container_id:
            return True
        try:
            status = await self._engine.container_status(self._container_id)
        except runtime.NotFound:
            return True
        except runtime.Unavailable:
            return False
        return status.state is runtime.State.EXITED
