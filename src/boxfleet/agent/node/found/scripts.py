"""Programs of the host that say more about it: drop-in scripts."""

import asyncio
import contextlib
import os
import pathlib
import signal
import stat

import msgspec

from boxfleet.planning import host_labels

# Seconds that one may take, and bytes that it may say.
_PATIENCE = 10.0
_MOST = 16 * 2**10
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


class Said(msgspec.Struct, kw_only=True):
    """What all scripts said. `faults` name script and line."""

    labels: dict[str, str] = {}
    faults: list[str] = []


def fingerprint(folder: pathlib.Path) -> tuple[tuple[str, int, int], ...]:
    """Changes when a script does, comes or goes."""
    try:
        return tuple(sorted((one.name, one.stat().st_mtime_ns, one.stat().st_mode) for one in os.scandir(folder)))
    except OSError:
        return ()


async def run(folder: pathlib.Path, *, owner: int = 0, patience: float = _PATIENCE) -> Said:
    """Run them one after the other, by name; of two that say the same label the later one counts.

    Only what nobody but `owner` can have written is run: whatever is run here is run as we are.
    """
    said = Said()
    try:
        if not folder.is_dir():
            return said
        if why := _unsafe(folder.lstat(), owner):
            said.faults.append(f"{folder}: {why}; none of it is run")
            return said
        found = sorted(one for one in folder.iterdir() if not one.name.startswith("."))
    except OSError as error:
        said.faults.append(f"{folder}: {error.strerror}")
        return said
    for script in found:
        why = _cannot_run(script, owner)
        text = ""
        if not why:
            text, why = await _output(script, patience)
        if why:
            said.faults.append(f"{script.name}: {why}")
            continue
        labels, faults = host_labels.parse(text)
        said.labels |= labels
        said.faults += [f"{script.name}: {fault}" for fault in faults]
    return said


def _cannot_run(script: pathlib.Path, owner: int) -> str:
    try:
        known = script.lstat()
    except OSError as error:
        return error.strerror or "cannot be looked at"
    if not stat.S_ISREG(known.st_mode):
        return "is no plain file"
    if why := _unsafe(known, owner):
        return f"{why}, so it is not run"
    return "" if known.st_mode & stat.S_IXUSR else "is not executable"


def _unsafe(known: os.stat_result, owner: int) -> str:
    if known.st_uid != owner:
        return f"belongs to user {known.st_uid}, not to {'root' if owner == 0 else owner}"
    return "can be written by others" if known.st_mode & (stat.S_IWGRP | stat.S_IWOTH) else ""


async def _output(script: pathlib.Path, patience: float) -> tuple[str, str]:
    """What it wrote, or why that does not count."""
    try:
        process = await asyncio.create_subprocess_exec(
            str(script),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd="/",
            env=_ENVIRONMENT,
            start_new_session=True,
        )
    except OSError as error:
        return "", f"cannot be started: {error.strerror}"
    assert process.stdout is not None
    try:
        async with asyncio.timeout(patience):
            # One byte more tells that there is more.
            written = await _read(process.stdout, _MOST + 1)
            if len(written) > _MOST:
                return "", f"says more than {_MOST >> 10} KiB"
            code = await process.wait()
    except TimeoutError:
        return "", f"takes more than {patience:g} s"
    finally:
        # With all that it started.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        # Else one that went its own way and holds on to the pipe would be waited for.
        process._transport.close()  # type: ignore[attr-defined]
        await process.wait()
    if code != 0:
        return "", f"ends with {code}"
    return written.decode(errors="replace"), ""


async def _read(stream: asyncio.StreamReader, most: int) -> bytes:
    parts = b""
    while len(parts) < most and (part := await stream.read(most - len(parts))):
        parts += part
    return parts
