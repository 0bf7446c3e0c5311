"""The commands that carry objects: moved under kill -9, backed up and restored."""

import asyncio
import datetime
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from boxfleet.app import bootstrap, objects, paths, settings
from boxfleet.store import settings as store_settings
from boxfleet.store import store
from boxfleet.testing import postgres

pytestmark = pytest.mark.anyio

_OBJECTS = 5000
_KILLS = int(os.environ.get("FAULT_ROUNDS", "3"))


@pytest.fixture
def cluster(short_dir: pathlib.Path) -> Iterator[postgres.Cluster]:
    if not postgres.installed():
        pytest.skip("this machine lacks PostgreSQL; ./run test installs it")
    folder = short_dir / "pg"
    folder.mkdir()
    # PostgreSQL runs as somebody else, who must reach its folder.
    short_dir.chmod(0o755)
    with postgres.cluster(folder) as running:
        yield running


@pytest.fixture
async def known(short_dir: pathlib.Path, anyio_backend: str) -> settings.All:
    """A Boxfleet that is down, with objects."""
    made = settings.All(state=f"{short_dir}/state", run=f"{short_dir}/run", node="one")
    bootstrap.prepare(made, now=datetime.datetime.now(datetime.UTC))
    log = await store.Store.open(paths.of(made).store, store_settings.Settings(batch=1000))
    await asyncio.gather(
        *(log.write(f"/{number}", lambda revision: b"%d" % revision * 100, expected=0) for number in range(_OBJECTS))
    )
    await log.close()
    return made


def _command(known: settings.All, *words: str) -> list[str]:
    return [sys.executable, "-m", "boxfleet", *words, "--state", known.state, "--run", known.run]


def _run(known: settings.All, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(_command(known, *words), capture_output=True, text=True)


def _now(known: settings.All) -> settings.All:
    return settings.load(settings.All, flags={"state": known.state, "run": known.run}, environ={})


async def _holds_everything(known: settings.All) -> None:
    """The store that the settings name is in charge and whole."""
    log = await store.Store.open(objects.place(_now(known)))
    try:
        assert log.revision == _OBJECTS
        assert all(row.value == b"%d" % row.revision * 100 for row in log.range("/"))
        assert len(log.range("/")) == _OBJECTS
    finally:
        await log.close()


async def test_a_move_that_is_killed_leaves_one_store_in_charge(known: settings.All, cluster: postgres.Cluster) -> None:
    dice = random.Random(4)
    for turn, to in enumerate((cluster.url(), "sqlite")):
        for _ in range(_KILLS):
            process = subprocess.Popen(_command(known, "store", "move", "--to", to), stdout=subprocess.PIPE)
            # Most of a second goes into loading the command.
            await asyncio.sleep(0.3 + dice.random() * 0.9)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            await _holds_everything(known)
        done = _run(known, "store", "move", "--to", to)
        assert done.returncode == 0, done.stderr
        assert _now(known).store == ("" if turn else to)
        await _holds_everything(known)
        # Once more is harmless.
        assert _run(known, "store", "move", "--to", to).returncode == 0
    assert cluster.sql("SELECT state FROM boxfleet.standing") == "moved"


async def test_a_move_is_refused_with_what_to_do(known: settings.All, cluster: postgres.Cluster) -> None:
    refused = _run(known, "store", "move", "--to", "postgresql://me:sesame@db/fleet")
    assert refused.returncode == 1
    assert "store_password_file" in refused.stderr
    assert "sesame" not in refused.stderr
    log = await store.Store.open(paths.of(known).store)
    running = _run(known, "store", "move", "--to", cluster.url())
    await log.close()
    assert running.returncode == 1
    assert "stop that one first" in running.stderr
    assert _run(known, "store", "move", "--to", "postgresql:///x?host=/tmp/nowhere").returncode == 1
    await _holds_everything(known)


async def test_backup_and_restore(known: settings.All, short_dir: pathlib.Path) -> None:
    file = short_dir / "objects"
    made = _run(known, "backup", str(file), "-o", "json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["revision"] == _OBJECTS
    assert file.stat().st_mode & 0o777 == 0o600
    again = _run(known, "backup", str(file))
    assert again.returncode == 1
    assert "is there already" in again.stderr
    occupied = _run(known, "restore", str(file))
    assert occupied.returncode == 1
    assert "there is a store already" in occupied.stderr
    shutil.rmtree(paths.of(known).store.parent)
    restored = _run(known, "restore", str(file), "--revision", "4000", "-o", "json")
    assert restored.returncode == 0, restored.stderr
    assert json.loads(restored.stdout)["objects"] == 4000
    log = await store.Store.open(paths.of(known).store)
    assert len(log.range("/")) == 4000
    assert log.get("/3999") is not None
    assert log.get("/4000") is None
    await log.close()
