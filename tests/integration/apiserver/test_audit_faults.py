"""The audit log when the server dies, and when the disk is full."""

import asyncio
import contextlib
import pathlib
import signal
import subprocess
import sys

import msgspec
import pytest

from boxfleet.apiserver.audit import auditor, journal
from boxfleet.kit import clock
from boxfleet.testing import server

pytestmark = pytest.mark.anyio

_SERVER = pathlib.Path(__file__).with_name("killed_server.py")
_PATH = "/api/v1/namespaces/default/configmaps"
# How many answers each life gives: the kill falls into full work.
_LIVES = (1, 300, 900)


async def test_no_record_of_an_answered_write_is_lost_by_death(tmp_path: pathlib.Path) -> None:
    answered = []
    for life, count in enumerate(_LIVES):
        command = [sys.executable, str(_SERVER), str(tmp_path), str(life)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            said = [process.stdout.readline() for _ in range(count)]
            process.send_signal(signal.SIGKILL)
            said += process.stdout.read().splitlines(keepends=True)
        assert process.returncode == -signal.SIGKILL
        answered += [line.decode().split() for line in said if line.endswith(b"\n")]
    assert {status for status, _ in answered} == {"201"}
    lines = (tmp_path / "audit" / "one.jsonl").read_bytes().splitlines()
    recorded = {msgspec.json.decode(line)["auditID"] for line in lines}
    assert {name for _, name in answered} <= recorded


@pytest.mark.machine
async def test_with_a_full_disk_nothing_is_done_unrecorded(tmp_path: pathlib.Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=True)
    try:
        book = journal.Journal(disk / "audit", server="one", clock=clock.SystemClock())
        book.start()
        async with server.running(tmp_path, audit=auditor.Auditor(book, server="one")) as api:
            filler = disk / "filler"
            with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * 4096)
            done = refused = 0
            for number in range(300):
                reply = await server.send(api.app, "POST", _PATH, {"metadata": {"name": f"a{number}"}})
                if reply.status == 201:
                    done += 1
                else:
                    refused += 1
                    assert reply.status == 503
                    assert "audit log cannot be written (No space left on device)" in reply.json["message"]
            assert done
            assert refused
            # Everything that was done is recorded, out of the reserve; reading goes on.
            assert (await server.send(api.app, "GET", _PATH)).status == 200
            assert len((await server.send(api.app, "GET", _PATH)).json["items"]) == done
            lines = (disk / "audit" / "one.jsonl").read_bytes().splitlines()
            codes = [msgspec.json.decode(line)["responseStatus"]["code"] for line in lines]
            assert codes.count(201) == done
            filler.unlink()
            async with asyncio.timeout(20):
                while book.trouble:
                    await asyncio.sleep(0.01)
            assert (await server.send(api.app, "POST", _PATH, {"metadata": {"name": "again"}})).status == 201
        await book.stop()
    finally:
        subprocess.run(["umount", str(disk)], check=True)
