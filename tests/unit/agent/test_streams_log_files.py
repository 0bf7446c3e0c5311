import os
import pathlib

import pytest

from boxfleet.agent.streams import log_files, log_lines

pytestmark = pytest.mark.anyio


def entry(text: str, tag: str = "F") -> str:
    return f"2026-01-02T03:04:05Z stdout {tag} {text}\n"


def text_of(files: log_files.LogFiles) -> str:
    joiner = log_lines.Joiner()
    out = b""
    while block := files.read():
        out += joiner.feed(block)
    return (out + joiner.finish()).decode()


async def tail(path: pathlib.Path, lines: int) -> str:
    files = log_files.LogFiles(path)
    files.open()
    try:
        await files.seek_tail(lines)
        return text_of(files)
    finally:
        files.close()


async def test_tail_counts_joined_lines(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "0.log"
    path.write_text(entry("a") + entry("b1", "P") + entry("b2") + entry("c"))
    whole = "a\nb1b2\nc\n"
    assert [await tail(path, count) for count in range(5)] == ["", "c\n", "b1b2\nc\n", whole, whole]
    with path.open("a") as log:
        log.write(entry("d", "P"))
    assert await tail(path, 1) == "d"
    assert await tail(path, 2) == "c\nd"


@pytest.mark.parametrize("width", [3, 1000, 200_000])
async def test_tail_over_many_blocks(tmp_path: pathlib.Path, width: int) -> None:
    path = tmp_path / "0.log"
    count = 2 + 400_000 // (width + 30)
    path.write_text("".join(entry(str(number).ljust(width, ".")) for number in range(count)))
    wanted = [str(number).ljust(width, ".") for number in range(count)]
    for lines in (1, 2, count // 2, count - 1, count, count + 1):
        assert (await tail(path, lines)).splitlines() == wanted[-lines:]


async def test_rotated_files_come_first_and_tail_reaches_into_them(tmp_path: pathlib.Path) -> None:
    (tmp_path / "0.log.10").write_text(entry("a") + entry("b"))
    (tmp_path / "0.log.9").write_text(entry("c"))
    (tmp_path / "0.log.11.gz").write_bytes(b"packed")
    (tmp_path / "0.log").write_text(entry("d"))
    (tmp_path / "1.log").write_text(entry("other"))
    assert await tail(tmp_path / "0.log", 9) == "a\nb\nc\nd\n"
    assert await tail(tmp_path / "0.log", 3) == "b\nc\nd\n"
    assert await tail(tmp_path / "0.log", 2) == "c\nd\n"
    assert await tail(tmp_path / "0.log", 0) == ""
    assert log_files.attempts(tmp_path) == {0, 1}
    assert log_files.attempts(tmp_path / "none") == set()


async def test_reading_goes_on_in_the_new_file_after_rotation(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "0.log"
    path.write_text(entry("a"))
    files = log_files.LogFiles(path)
    files.open()
    assert text_of(files) == "a\n"
    assert not files.rotated()
    path.rename(tmp_path / "0.log.1")
    assert not files.rotated()
    path.write_text(entry("b"))
    assert files.rotated()
    files.step()
    assert text_of(files) == "b\n"
    descriptors = list(files.files)
    files.close()
    assert len(descriptors) == 1
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptors[0])
