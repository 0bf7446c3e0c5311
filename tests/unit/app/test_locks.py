"""One process at a time, and the newest wins."""

import os
import pathlib
import subprocess
import sys

from boxfleet.app import locks

HOLD = """
import pathlib, sys, time
from boxfleet.app import locks
locks.take(pathlib.Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


def test_the_newer_process_ends_the_older(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "run" / "x.lock"
    assert locks.holder(path) == 0
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE) as older:
        assert older.stdout is not None and older.stdout.readline() == b"held\n"
        assert locks.holder(path) == older.pid
        handle = locks.take(path)
        assert older.wait() == -15
    assert locks.holder(path) == os.getpid()
    os.close(handle)
    assert locks.holder(path) == 0
