"""Kill -9 of a writing process: everything that it said was acknowledged is there, and nothing else is half there."""

import pathlib
import signal
import subprocess
import sys

import pytest

from boxfleet.store import store

_WRITER = pathlib.Path(__file__).with_name("killed_writer.py")
# How many acknowledged writes each life gets: the kill falls into full work.
_LIVES = (1, 40, 700, 1500, 3)


def _live_until(path: pathlib.Path, life: int, acknowledged: int) -> list[str]:
    with subprocess.Popen([sys.executable, str(_WRITER), str(path), str(life)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(acknowledged)]
        process.send_signal(signal.SIGKILL)
        # What was said before the end counts too.
        lines += process.stdout.read().splitlines(keepends=True)
    assert process.returncode == -signal.SIGKILL
    return [line.decode().strip() for line in lines if line.endswith(b"\n")]


@pytest.mark.anyio
async def test_no_acknowledged_write_is_lost(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.db"
    told: dict[str, tuple[str, int]] = {}
    newest = 0
    for life, acknowledged in enumerate(_LIVES):
        for line in _live_until(path, life, acknowledged):
            what, key, revision = line.split()
            told[key] = (what, int(revision))
            newest = max(newest, int(revision))
        log = await store.Store.open(path)
        try:
            assert log.revision >= newest
            for key, (what, revision) in told.items():
                row = log.get(key)
                if row is None or row.revision > revision:
                    # A later write may have been made durable without its writer hearing of it.
                    assert what == "deleted" or _is_unheard(log, key, revision)
                else:
                    assert what == "written"
                    assert row.value == f"{revision}".encode() * 100
        finally:
            await log.close()


def _is_unheard(log: store.Store, key: str, revision: int) -> bool:
    with log.watch(key, after=max(revision, log.oldest)) as watch:
        return any(change.key == key and change.before_revision >= revision for change in watch._waiting)
