"""Recordings of sessions: asciicast v2 (docs.asciinema.org/manual/asciicast/v2), which many players know.

The first line says whose session it is; each other one is ``[seconds, code, data]``: `o` what the user saw, `i` what he
sent, `r` the size of his terminal, `m` a remark. A terminal echoes what is typed, so what is sent to one is not
recorded, and passwords therefore neither; what is sent without a terminal is, up to a bound.
"""

import codecs
import contextlib
import datetime
import os
import pathlib
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from boxfleet.apiserver import faults
from boxfleet.apiserver.audit import files
from boxfleet.kit import clock as clocks

SUFFIX: Final = ".cast"
# Bytes of input without a terminal: enough for commands, too little for the files that `kubectl cp` sends.
_INPUT: Final = 1024 * 1024
# A terminal's size until it says so itself.
_COLUMNS, _ROWS = 80, 24


class Sessions:
    """A folder of recordings, each named by its session's audit id."""

    def __init__(self, folder: pathlib.Path, *, clock: clocks.Clock) -> None:
        self._folder = folder
        self._clock = clock

    def begin(self, name: str, *, title: str, user: str, tty: bool) -> "Recording":
        """Record a session from now on. Raises Fault 503."""
        try:
            files.make_folder(self._folder)
            handle = os.open(
                self._folder / f"{name}{SUFFIX}",
                os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC,
                0o600,
            )
        except OSError as error:
            raise failed(error) from None
        recording = Recording(handle, clock=self._clock, tty=tty)
        header = {"version": 2, "width": _COLUMNS, "height": _ROWS, "title": title, "user": user}
        try:
            recording.write(header | {"timestamp": int(self._clock.now().timestamp())})
        except faults.Fault:
            recording.end()
            raise
        return recording

    def clear(self, *, older_than: float) -> list[pathlib.Path]:
        """Remove recordings that ended so many seconds ago; returns them."""
        removed = []
        limit = self._clock.now() - datetime.timedelta(seconds=older_than)
        for path in self._folder.glob(f"*{SUFFIX}"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < limit.timestamp():
                    path.unlink()
                    removed.append(path)
        return removed


class Recording:
    """One session. Each method raises Fault 503 when it cannot be recorded, which ends the session."""

    def __init__(self, handle: int, *, clock: clocks.Clock, tty: bool) -> None:
        self._handle = handle
        self._clock = clock
        self._tty = tty
        self._began = clock.monotonic()
        self._input_left = _INPUT
        # Characters may be cut in two by messages.
        self._decoders = {code: codecs.getincrementaldecoder("utf-8")("replace") for code in ("out", "error", "in")}

    def output(self, data: bytes, *, error: bool = False) -> None:
        """What the user is going to see."""
        self._event("o", self._decoders["error" if error else "out"].decode(data))

    def input(self, data: bytes) -> None:
        """What the user sent, unless a terminal echoes it."""
        if self._tty or self._input_left <= 0:
            return
        self._event("i", self._decoders["in"].decode(data[: self._input_left]))
        self._input_left -= len(data)
        if self._input_left <= 0:
            self._event("m", f"input after {_INPUT} bytes is not recorded")

    def resize(self, data: bytes) -> None:
        """The terminal's size, as the protocol says it; what makes no sense is left out."""
        with contextlib.suppress(msgspec.DecodeError, TypeError, KeyError):
            size = msgspec.json.decode(data)
            self._event("r", f"{int(size['Width'])}x{int(size['Height'])}")

    def remark(self, text: str) -> None:
        """Something of our own."""
        self._event("m", text)

    def write(self, line: Any) -> None:
        """One line of the file."""
        data = msgspec.json.encode(line) + b"\n"
        try:
            while data:
                data = data[os.write(self._handle, data) :]
        except OSError as error:
            raise failed(error) from None

    def end(self) -> None:
        """The session is over."""
        with contextlib.suppress(OSError):
            os.fdatasync(self._handle)
        os.close(self._handle)

    def _event(self, code: str, text: str) -> None:
        if text:
            self.write((round(self._clock.monotonic() - self._began, 6), code, text))


def failed(error: OSError) -> faults.Fault:
    """The session cannot be recorded, so it cannot be."""
    return faults.unavailable(
        f"sessions in this namespace are recorded, and the recording cannot be written: {error.strerror or error}"
    )


class ReadError(Exception):
    """There is no such recording, or it is none; the text says so."""


def read(folder: pathlib.Path, name: str) -> Iterator[tuple[float, str, str]]:
    """The events of a recording: seconds, code, data; one that was cut ends there. Raises ReadError."""
    path = folder / f"{name}{SUFFIX}"
    try:
        if path.parent != folder or not name:
            raise FileNotFoundError
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        raise ReadError(f"there is no recording {name} in {folder}: `boxfleet audit -o json` names them") from None
    decoder = msgspec.json.Decoder(tuple[float, str, str])
    for line in lines[1:]:
        try:
            yield decoder.decode(line)
        except msgspec.DecodeError:
            return
