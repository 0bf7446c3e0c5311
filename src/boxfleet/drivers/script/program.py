"""One call of a program: what it gets, what it may say, and for how long."""

import asyncio
import contextlib
import dataclasses
import os
import pathlib
import signal
import stat

_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
# Bytes that it may say: some thousand machines, and some lines of complaint.
_MOST_OUTPUT = 4 * 2**20
_MOST_WORDS = 4096
# Seconds between looks whether it has ended.
_LOOK = 0.02
# Seconds to read what it said before it ended.
_LAST_WORDS = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class Ended:
    """How it ended, and what it said."""

    code: int
    output: bytes
    words: str


class NotRun(Exception):
    """It is not run, or its end tells nothing; the text says why."""


def unsafe(path: pathlib.Path, *, owner: int = 0) -> str:
    """Why a program is not run; empty when it is. What is run here is run as we are, so only we may have written it."""
    try:
        folder, known = path.parent.lstat(), path.lstat()
    except OSError as error:
        return f"{path}: {error.strerror}"
    if not stat.S_ISREG(known.st_mode) or not stat.S_ISDIR(folder.st_mode):
        return f"{path} is no plain file in a plain folder"
    for place, each in ((path.parent, folder), (path, known)):
        if each.st_uid != owner:
            return f"{place} belongs to user {each.st_uid}, not to {'root' if owner == 0 else owner}: chown it"
        if each.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return f"{place} can be written by others: chmod go-w {place}"
    return "" if known.st_mode & stat.S_IXUSR else f"{path} is not executable: chmod +x {path}"


async def run(path: pathlib.Path, verb: str, given: bytes, *, seconds: float) -> Ended:
    """Run it with one argument, the verb; all else goes through its input, for arguments are seen by everybody.

    Raises NotRun.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            str(path),
            verb,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd="/",
            env=_ENVIRONMENT,
            start_new_session=True,
        )
    except OSError as error:
        raise NotRun(f"{path} cannot be started: {error.strerror}") from None
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    said, complaint = bytearray(), bytearray()
    talk = [
        asyncio.create_task(_give(process.stdin, given)),
        asyncio.create_task(_read(process.stdout, said, _MOST_OUTPUT + 1)),
        asyncio.create_task(_read(process.stderr, complaint, _MOST_WORDS)),
    ]
    try:
        async with asyncio.timeout(seconds):
            # `wait` would wait for the pipes too, which what it left running may hold on to.
            while (code := process.returncode) is None:  # noqa: ASYNC110
                await asyncio.sleep(_LOOK)
        await asyncio.wait(talk, timeout=_LAST_WORDS)
    except TimeoutError:
        raise NotRun(f"{path.name} {verb} takes more than {seconds:g} s") from None
    finally:
        for each in talk:
            each.cancel()
        await asyncio.gather(*talk, return_exceptions=True)
        # With all that it started, unless that went into a session of its own: a machine may be one of these.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process._transport.close()  # type: ignore[attr-defined]
        await process.wait()
    if len(said) > _MOST_OUTPUT:
        raise NotRun(f"{path.name} {verb} says more than {_MOST_OUTPUT >> 20} MiB")
    return Ended(code, bytes(said), complaint.decode(errors="replace").strip())


async def _give(stream: asyncio.StreamWriter, given: bytes) -> None:
    # One that does not read is not at fault.
    with contextlib.suppress(ConnectionError):
        stream.write(given)
        await stream.drain()
    stream.close()
    with contextlib.suppress(ConnectionError):
        await stream.wait_closed()


async def _read(stream: asyncio.StreamReader, into: bytearray, most: int) -> None:
    """What is more is read and forgotten, so that nobody waits for us."""
    while part := await stream.read(2**16):
        into += part[: most - len(into)]
