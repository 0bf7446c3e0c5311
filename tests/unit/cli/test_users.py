"""``boxfleet user`` against a real API on a socket."""

import pathlib
import subprocess
import sys
import urllib.parse
from collections.abc import AsyncIterator

import anyio.to_thread
import pytest
import yaml

from boxfleet.testing import server

pytestmark = pytest.mark.anyio


@pytest.fixture
async def socket(tmp_path: pathlib.Path, anyio_backend: str) -> AsyncIterator[server.Socket]:
    async with server.running(tmp_path) as api, server.on_socket(api, tmp_path) as found:
        yield found


async def test_added_logged_in_changed_removed(socket: server.Socket, tmp_path: pathlib.Path) -> None:
    word, kubeconfig = tmp_path / "word", tmp_path / "jane.kubeconfig"
    word.write_text("correct horse\n")
    word.chmod(0o600)
    port = urllib.parse.urlsplit(socket.url).port

    async def run(*words: str, admin: bool = True, code: int = 0) -> str:
        way = ["--kubeconfig", str(socket.kubeconfig)] if admin else []
        environment = {
            "BOXFLEET_STATE": str(tmp_path),
            "BOXFLEET_RUN": "/run/bf-none",
            "BOXFLEET_PORT": str(port),
        }
        done = await anyio.to_thread.run_sync(
            lambda: subprocess.run(
                [sys.executable, "-m", "boxfleet", "user", *words, *way],
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    await run("add", "jane", "--group", "developers", "--password-file", str(word))
    assert "there is a user jane" in await run("add", "jane", "--password-file", str(word), code=1)
    listed = await run("list")
    assert listed.split() == ["USER", "GROUPS", "jane", "developers"]
    login = (
        "login",
        "jane",
        str(kubeconfig),
        "--password-file",
        str(word),
        "--certificate-authority",
        str(socket.ca_file),
    )
    assert "logged in as jane" in await run(*login, admin=False)
    assert kubeconfig.stat().st_mode & 0o777 == 0o600
    assert yaml.safe_load(kubeconfig.read_text())["users"][0]["name"] == "jane"
    (tmp_path / "other").write_text("battery staple\n")
    await run("password", "jane", "--password-file", str(tmp_path / "other"))
    assert "no such user with this password" in await run(*login, admin=False, code=1)
    await run("remove", "jane")
    assert "there is no user jane" in await run("remove", "jane", code=1)
    assert "system:masters" in await run("add", "x", "--group", "system:masters", "--password-file", str(word), code=1)
    (tmp_path / "short").write_text("short\n")
    assert "8 to 1024" in await run("add", "x", "--password-file", str(tmp_path / "short"), code=1)
