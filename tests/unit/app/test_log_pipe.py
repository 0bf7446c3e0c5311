"""The pipe to the log."""

import os
from collections.abc import Iterator

import pytest

from boxfleet.app import log_pipe

LINE = "x" * 5000 + "\n"


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def drain(reader: int) -> str:
    found = b""
    while True:
        try:
            found += os.read(reader, 2**16)
        except BlockingIOError:
            return found.decode()


def test_lines_pass_through(ends: tuple[int, int]) -> None:
    reader, writer = ends
    log_pipe.LogPipe(writer).write("one\ntwo\n")
    assert drain(reader) == "one\ntwo\n"


def test_nobody_who_reads_stops_nobody_who_writes(ends: tuple[int, int]) -> None:
    reader, writer = ends
    pipe = log_pipe.LogPipe(writer)
    for _ in range(1000):
        pipe.write(LINE)
    before = drain(reader)
    pipe.write("after\n")
    after = drain(reader)
    whole, last = (before + after).split("\n")[:-3], (before + after).split("\n")[-3:]
    assert set(whole) == {LINE.strip()}
    assert f'"dropped":{1000 - len(whole)}}}' in last[0]
    assert last[1:] == ["after", ""]
