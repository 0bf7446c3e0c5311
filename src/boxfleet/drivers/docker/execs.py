"""Commands in containers: a session with its streams, or just their outcome."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import msgspec

from boxfleet.drivers.docker import connection, duplex, frames

# Of what a probe says no more is kept than this (bytes).
_SAID = 1024
# How long a command's exit code may take to be known after its output ended.
_SETTLE = (0.0, 0.01, 0.05, 0.1, 0.5, 1.0, 2.0)


class Session:
    """A command that runs, or a container's own process, with its streams."""

    def __init__(
        self,
        link: connection.Connection,
        line: duplex.Line,
        *,
        path: str,
        tty: bool,
    ) -> None:
        self._link = link
        self._line = line
        self._path = path
        self._tty = tty

    async def send_stdin(self, data: bytes) -> None:
        """Write to the process; raises OSError when it reads no more."""
        await self._line.write(data)

    async def close_stdin(self) -> None:
        """End the input; raises OSError when the process reads no more."""
        await self._line.end()

    async def resize(self, *, width: int, height: int) -> None:
        """Tell the terminal's size. Raises ClusterFaults."""
        await self._link.call("POST", f"{self._path}/resize", params={"w": width, "h": height})

    def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """What the process writes: (1 or 2, data), until it ends."""
        return frames.read(self._line, tty=self._tty)

    def close(self) -> None:
        """Let go of the streams."""
        self._line.abort()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended, and the beginning of what it said."""

    exit_code: int
    said: str


async def begin(
    link: connection.Connection,
    container_id: str,
    command: Sequence[str],
    *,
    stdin: bool,
    tty: bool,
    stderr: bool = True,
) -> tuple[str, Session]:
    """Start a command; its id and session. Raises ClusterFaults."""
    made = await link.call(
        "POST",
        f"/containers/{container_id}/exec",
        body={
            "Cmd": list(command),
            "AttachStdin": stdin,
            "AttachStdout": True,
            "AttachStderr": stderr,
            "Tty": tty,
        },
    )
    path = f"/exec/{made['Id']}"
    line = await link.upgraded(f"{path}/start", {"Detach": False, "Tty": tty})
    return made["Id"], Session(link, line, path=path, tty=tty)


async def exit_code(link: connection.Connection, exec_id: str) -> int:
    """How a command ended whose output has. Raises ClusterFaults."""
    for pause in _SETTLE:
        await asyncio.sleep(pause)
        found = await link.call("GET", f"/exec/{exec_id}/json")
        if not found.get("Running") and found.get("ExitCode") is not None:
            return int(found["ExitCode"])
    return 137


async def run(link: connection.Connection, container_id: str, command: Sequence[str], *, seconds: float) -> Outcome:
    """Run a command to its end. Raises ClusterFaults and TimeoutError; the engine cannot end what takes too long."""
    async with asyncio.timeout(seconds):
        exec_id, session = await begin(link, container_id, command, stdin=False, tty=False)
        said = b""
        try:
            async for _, data in session.output():
                said = (said + data)[:_SAID]
        finally:
            session.close()
        return Outcome(exit_code=await exit_code(link, exec_id), said=said.decode(errors="replace").strip())
