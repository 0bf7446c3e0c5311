"""The files of a container's log: ``DIRECTORY/ATTEMPT.log``, and rotated ones, ``ATTEMPT.log.1`` the newest of them."""

import asyncio
import contextlib
import dataclasses
import os
import pathlib
from typing import Final

from boxfleet.agent.streams import log_lines

BLOCK: Final = 64 * 1024


def attempts(directory: pathlib.Path) -> set[int]:
    """The runs of a container that have a log."""
    found = set()
    with contextlib.suppress(FileNotFoundError):
        for path in directory.iterdir():
            number, dot, _ = path.name.partition(".log")
            if dot and number.isdecimal():
                found.add(int(number))
    return found


@dataclasses.dataclass
class LogFiles:
    """One run's log, open at a place: `read` goes on from there through all its files."""

    path: pathlib.Path
    # Oldest first; the last one is still written to, if `path` could be opened.
    files: list[int] = dataclasses.field(default_factory=list)
    current: int | None = None

    def open(self) -> None:
        """Open what is there; a log without a file yet is empty."""
        # The newest first: if it is rotated now, its descriptor still leads to it.
        self.current = _open(self.path)
        known = {_identity(self.current)} if self.current is not None else set()
        for path in self._rotated():
            descriptor = _open(path)
            if descriptor is None:
                continue
            # A file that was renamed while its folder was read is met twice.
            if _identity(descriptor) in known:
                os.close(descriptor)
            else:
                known.add(_identity(descriptor))
                self.files.append(descriptor)
        if self.current is not None:
            self.files.append(self.current)

    def close(self) -> None:
        """Close all files."""
        for descriptor in self.files:
            os.close(descriptor)
        self.files.clear()
        self.current = None

    def read(self) -> bytes:
        """The next bytes; none at the end for now."""
        while self.files:
            if block := os.read(self.files[0], BLOCK):
                return block
            if len(self.files) == 1:
                break
            os.close(self.files.pop(0))
        return b""

    def rotated(self) -> bool:
        """Whether a newer file has taken the name of the one that is read."""
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return False
        return self.current is None or (there.st_dev, there.st_ino) != _identity(self.current)

    def step(self) -> None:
        """Go on in the file that has the name now."""
        newer = _open(self.path)
        if newer is not None:
            self.files.append(newer)
            self.current = newer

    async def seek_tail(self, lines: int) -> None:
        """Go to where the last so many complete lines begin."""
        if lines <= 0:
            for descriptor in self.files[:-1]:
                os.close(descriptor)
            del self.files[:-1]
            for descriptor in self.files:
                os.lseek(descriptor, 0, os.SEEK_END)
            return
        finder = _TailFinder(lines)
        for index in range(len(self.files) - 1, -1, -1):
            offset = await finder.search(self.files[index])
            if offset is not None:
                os.lseek(self.files[index], offset, os.SEEK_SET)
                for descriptor in self.files[:index]:
                    os.close(descriptor)
                del self.files[:index]
                return

    def _rotated(self) -> list[pathlib.Path]:
        """The oldest first."""
        numbered = {}
        for path in self.path.parent.glob(f"{self.path.name}.*"):
            number = path.name.removeprefix(f"{self.path.name}.")
            if number.isdecimal():
                numbered[int(number)] = path
        return [numbered[number] for number in sorted(numbered, reverse=True)]


class _TailFinder:
    """Looks for the beginning of the last lines, backwards, a block at a time."""

    def __init__(self, lines: int) -> None:
        self._missing = lines
        self._newest = True

    async def search(self, descriptor: int) -> int | None:
        """Where the lines begin in this file; None when they begin in an older one or the log is shorter."""
        start = os.fstat(descriptor).st_size
        carry = b""
        while start > 0:
            size = min(BLOCK, start)
            start -= size
            data = os.pread(descriptor, size, start) + carry
            # The first line may have begun in the block before.
            cut = 0 if start == 0 else data.find(b"\n") + 1
            if start and not cut:
                carry = data
                continue
            carry = data[:cut]
            offset = self._scan(data[cut:], start + cut)
            if offset is not None:
                return offset
            await asyncio.sleep(0)
        return None

    def _scan(self, data: bytes, base: int) -> int | None:
        end = base + len(data)
        for line in reversed(data.splitlines(keepends=True)):
            # A line that goes on counts by its last entry, and by itself where the log ends with it.
            if self._newest or not log_lines.is_partial(line):
                if self._missing == 0:
                    return end
                self._missing -= 1
            self._newest = False
            end -= len(line)
        return None


def _identity(descriptor: int) -> tuple[int, int]:
    about = os.fstat(descriptor)
    return about.st_dev, about.st_ino


def _open(path: pathlib.Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
