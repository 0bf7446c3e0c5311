"""What is used of a quota when the server is killed in full work: the count has no leak, without counting anew."""

import pathlib
import signal
import subprocess
import sys

import pytest

from boxfleet.kit import quantity
from boxfleet.testing import server

pytestmark = pytest.mark.anyio

_SERVER = pathlib.Path(__file__).with_name("killed_server.py")
_QUOTAS = "/api/v1/namespaces/default/resourcequotas"
_MERGE = {"content-type": "application/merge-patch+json"}
# How many answers each life gives: the kill falls into full work.
_LIVES = (1, 100, 300, 500)


async def test_no_leak_by_death(tmp_path: pathlib.Path) -> None:
    hard = {"configmaps": "100k"}
    async with server.running(tmp_path) as api:
        await server.send(api.app, "POST", _QUOTAS, {"metadata": {"name": "q"}, "spec": {"hard": hard}})
        status = {"status": {"hard": hard, "used": {"configmaps": "0"}}}
        await server.send(api.app, "PATCH", f"{_QUOTAS}/q/status", status, headers=_MERGE)
    for life, count in enumerate(_LIVES):
        command = [sys.executable, str(_SERVER), str(tmp_path), str(life)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert all(process.stdout.readline().startswith(b"201 ") for _ in range(count))
            process.send_signal(signal.SIGKILL)
            process.stdout.read()
        assert process.returncode == -signal.SIGKILL
    async with server.running(tmp_path) as api:
        used = (await server.send(api.app, "GET", f"{_QUOTAS}/q")).json["status"]["used"]["configmaps"]
        there = api.store.count("//configmaps/default/")
        assert there >= sum(_LIVES)
        assert quantity.whole(used) == there
