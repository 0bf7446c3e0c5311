"""Detached programs, with real processes."""

import asyncio
import os
import pathlib
import signal

import pytest

from boxfleet.kit import daemon


@pytest.fixture
def place(tmp_path: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    return tmp_path / "run" / "pid", tmp_path / "logs" / "log"


async def written(log_file: pathlib.Path, text: str) -> None:
    async with asyncio.timeout(10):
        while log_file.read_text() != text:
            await asyncio.sleep(0.005)


@pytest.mark.anyio
async def test_a_program_is_started_found_and_stopped(place: tuple[pathlib.Path, pathlib.Path]) -> None:
    pid_file, log_file = place
    assert daemon.find(pid_file) is None
    pid = await daemon.start(["sh", "-c", "echo here; exec sleep 1000"], pid_file=pid_file, log_file=log_file)
    try:
        assert daemon.find(pid_file) == pid
        # Nobody's child, in a session of its own.
        assert os.getsid(pid) != os.getsid(0)
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        await written(log_file, "here\n")
    finally:
        await daemon.stop(pid_file, grace=5)
    assert daemon.find(pid_file) is None
    assert not pid_file.exists()
    await daemon.stop(pid_file, grace=5)


@pytest.mark.anyio
async def test_who_does_not_listen_is_killed(place: tuple[pathlib.Path, pathlib.Path]) -> None:
    pid_file, log_file = place
    script = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    pid = await daemon.start(["sh", "-c", script], pid_file=pid_file, log_file=log_file)
    await written(log_file, "ready\n")
    await daemon.stop(pid_file, grace=0.05)
    assert not pathlib.Path(f"/proc/{pid}").exists() or daemon.find(pid_file) is None


@pytest.mark.anyio
async def test_an_end_is_noticed(place: tuple[pathlib.Path, pathlib.Path]) -> None:
    pid_file, log_file = place
    pid = await daemon.start(["sleep", "1000"], pid_file=pid_file, log_file=log_file)
    end = asyncio.create_task(daemon.ended(pid))
    await asyncio.sleep(0)
    assert daemon.send(pid_file, signal.SIGKILL)
    async with asyncio.timeout(10):
        await end
    assert not daemon.send(pid_file, signal.SIGKILL)


@pytest.mark.anyio
async def test_what_cannot_start_is_named(place: tuple[pathlib.Path, pathlib.Path]) -> None:
    pid_file, log_file = place
    with pytest.raises(daemon.DaemonError, match="no-such-program"):
        await daemon.start(["/no-such-program"], pid_file=pid_file, log_file=log_file)


def test_another_process_with_the_same_id_is_not_taken(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "pid"
    file.write_text(f"{os.getpid()} 1\n")
    assert daemon.find(file) is None
    assert not daemon.send(file, signal.SIGTERM)


@pytest.mark.parametrize("text", ["", "x y", "12", "1 2 3"])
def test_a_broken_file_names_nobody(tmp_path: pathlib.Path, text: str) -> None:
    file = tmp_path / "pid"
    file.write_text(text)
    assert daemon.find(file) is None
