"""Finding records: in all files of a folder, also those set aside, in order of time."""

import collections
import contextlib
import dataclasses
import datetime
import heapq
import os
import pathlib
import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from boxfleet.api import audit
from boxfleet.apiserver.audit import files
from boxfleet.kit import clock

_REFUSED: Final = (401, 403)
_SPAN = re.compile(r"(\d{1,6})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class SearchError(Exception):
    """What is asked for makes no sense; the text says what does."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is true of the records that are wanted; what is empty is true of all."""

    user: str = ""
    tenant: str = ""
    namespace: str = ""
    verb: str = ""
    # With a subresource behind a slash, or without.
    resource: str = ""
    name: str = ""
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    # Only what was refused.
    denied: bool = False
    # As many of the newest; 0 is all.
    limit: int = 0

    def words(self) -> list[bytes]:
        """What the line of such a record has in it, which is looked for before anything is decoded."""
        parts = (self.user, self.tenant, self.namespace, self.verb, *self.resource.split("/"), self.name)
        # What JSON writes otherwise is not looked for.
        return [part.encode() for part in parts if part.isascii() and not set(part) & set('"\\')]

    def fits(self, event: audit.Event) -> bool:
        """Whether a record is wanted."""
        about = event.objectRef or audit.Reference()
        whole = f"{about.resource}/{about.subresource}" if about.subresource else about.resource
        code = event.responseStatus.code if event.responseStatus is not None else 0
        users = {event.user.username, event.impersonatedUser.username if event.impersonatedUser else ""}
        return (
            (not self.user or self.user in users)
            and (not self.tenant or event.annotations.get(audit.TENANT) == self.tenant)
            and (not self.namespace or about.namespace == self.namespace)
            and (not self.verb or event.verb == self.verb)
            and (not self.resource or self.resource in (about.resource, whole))
            and (not self.name or about.name == self.name)
            and (self.since is None or event.stageTimestamp >= self.since)
            and (self.until is None or event.stageTimestamp <= self.until)
            and (not self.denied or code in _REFUSED)
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """A record, and the line that it was read from."""

    event: audit.Event
    line: bytes


class Search:
    """Looks for records; `unreadable` counts lines that are none, such as one that a power cut tore."""

    def __init__(self, folder: pathlib.Path, wish: Wish) -> None:
        self._folder = folder
        self._wish = wish
        self._words = wish.words()
        self._decoder = msgspec.json.Decoder(audit.Event)
        self.unreadable = 0

    def run(self) -> Iterable[Found]:
        """Everything that is wanted, oldest first."""
        each = [self._of_server(paths) for paths in files.listed(self._folder).values()]
        merged = heapq.merge(*each, key=lambda found: found.event.stageTimestamp)
        return collections.deque(merged, maxlen=self._wish.limit) if self._wish.limit else merged

    def judged(self, line: bytes) -> Found | None:
        """A line as what it says, if that is wanted."""
        if not all(word in line for word in self._words):
            return None
        try:
            event = self._decoder.decode(line)
        except msgspec.DecodeError:
            self.unreadable += 1
            return None
        return Found(event, line.rstrip(b"\n") + b"\n") if self._wish.fits(event) else None

    def _of_server(self, paths: list[pathlib.Path]) -> Iterator[Found]:
        for path in paths:
            if self._wish.since is not None and files.closed_at(path) < self._wish.since:
                continue
            # One that is cleared away meanwhile is gone.
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                for line in file:
                    if (found := self.judged(line)) is not None:
                        yield found


class Tail:
    """What is written to the files of a folder from now on, also after they were turned over."""

    def __init__(self, folder: pathlib.Path, search: Search) -> None:
        self._folder = folder
        self._search = search
        self._open: dict[pathlib.Path, tuple[int, int]] = {}
        self._rest: dict[pathlib.Path, bytes] = {}
        self._look(at_end=True)

    def take(self) -> list[Found]:
        """What came since the last time; in order for each server."""
        found = self._look(at_end=False)
        for path in list(self._open):
            found += self._read(path)
        return found

    def close(self) -> None:
        """Let go of the files."""
        for handle, _ in self._open.values():
            os.close(handle)
        self._open.clear()

    def _look(self, *, at_end: bool) -> list[Found]:
        """Open what is new under a name, after reading what it replaces to its end."""
        found = []
        for paths in files.listed(self._folder).values():
            path = paths[-1]
            if files.closed_at(path).year < datetime.MAXYEAR:
                continue
            with contextlib.suppress(FileNotFoundError):
                inode = path.stat().st_ino
                old = self._open.get(path)
                if old is not None and old[1] == inode:
                    continue
                if old is not None:
                    found += self._read(path)
                handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                if at_end:
                    os.lseek(handle, 0, os.SEEK_END)
                self._open[path] = (handle, os.fstat(handle).st_ino)
                if old is not None:
                    os.close(old[0])
        return found

    def _read(self, path: pathlib.Path) -> list[Found]:
        found = []
        while data := os.read(self._open[path][0], 1 << 20):
            *whole, self._rest[path] = (self._rest.get(path, b"") + data).split(b"\n")
            found += [one for line in whole if (one := self._search.judged(line)) is not None]
        return found


def moment(text: str, *, now: datetime.datetime) -> datetime.datetime:
    """``2h`` or ``30m`` ago, or a moment as RFC 3339 or a date say it, in UTC unless it says otherwise.

    Raises SearchError.
    """
    if (match := _SPAN.fullmatch(text)) is not None:
        return now - datetime.timedelta(seconds=int(match[1]) * _SECONDS[match[2]])
    try:
        given = clock.parse(text)
    except ValueError:
        raise SearchError(f"{text!r} is no time: say 30m, 2h or 7d, or 2030-01-31T12:00:00Z") from None
    return given if given.tzinfo is not None else given.replace(tzinfo=datetime.UTC)
