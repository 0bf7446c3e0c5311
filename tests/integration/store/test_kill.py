"""Kill -9 of writing servers: what they acknowledged is there, once, and a watcher goes on without a gap."""

import contextlib
import pathlib
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from tests.integration.store import oracle

from boxfleet.store import settings, store, where
from boxfleet.testing import postgres

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(7200 if oracle.ROUNDS else 300)]

_WRITER = pathlib.Path(__file__).with_name("killed_writer.py")
# Watchers come back late here.
_PATIENT = settings.Settings(history_changes=200_000, history_bytes=2**30, watch_backlog=200_000)


class _Writer:
    """A writing process, and what it said."""

    def __init__(self, place: str, life: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(_WRITER), place, life], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.lines: list[str] = []
        self._said = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def wait_for(self, lines: int) -> None:
        """Until it has said so much."""
        with self._said:
            assert self._said.wait_for(lambda: len(self.lines) > lines or self._process.poll() is not None, timeout=60)
        assert self._process.poll() is None, self._process.stderr.read() if self._process.stderr else ""

    def kill(self) -> list[str]:
        """Kill it; everything that it acknowledged."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()
        return self.lines[1:]

    def _read(self) -> None:
        assert self._process.stdout is not None
        # A line that was cut off is heard by nobody.
        for line in self._process.stdout:
            if line.endswith(b"\n"):
                with self._said:
                    self.lines.append(line.decode())
                    self._said.notify_all()
        with self._said:
            self._said.notify_all()


@contextlib.contextmanager
def _writing(place: str, life: str) -> Iterator[_Writer]:
    writer = _Writer(place, life)
    try:
        yield writer
    finally:
        writer.kill()


async def test_sqlite_loses_nothing(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.db"
    dice = random.Random(1)
    watcher = oracle.Watcher()
    acknowledged: list[str] = []
    for life in range(oracle.rounds(8)):
        with _writing(str(path), str(life)) as writer:
            # The kill falls into full work, or into the start.
            writer.wait_for(dice.choice((0, 1, 40, 400, 1200)))
            acknowledged += writer.kill()
        log = await store.Store.open(path, _PATIENT)
        try:
            with log.watch("/", after=watcher.revision) as watch:
                watcher.hear(await watch.take(timeout=0))
            watcher.check(acknowledged, log.range("/"))
        finally:
            await log.close()
    assert len(acknowledged) > 100


async def test_of_two_servers_on_postgresql_none_loses_anything(cluster: postgres.Cluster, url: where.Postgres) -> None:
    dice = random.Random(2)
    watcher = oracle.Watcher()
    acknowledged: list[str] = []
    log = await store.Store.open(url, _PATIENT)
    try:
        with contextlib.ExitStack() as stack:
            writers = [stack.enter_context(_writing(url.url, f"start-{number}")) for number in range(2)]
            for life in range(oracle.rounds(6)):
                for writer in writers:
                    writer.wait_for(dice.choice((1, 40, 400)))
                number = dice.randrange(2)
                acknowledged += writers[number].kill()
                with log.watch("/", after=watcher.revision) as watch:
                    await log.current()
                    watcher.hear(await watch.take(timeout=0))
                if life % 3 == 2:
                    # The watcher's own server starts anew as well.
                    await log.close()
                    log = await store.Store.open(url, _PATIENT)
                writers[number] = stack.enter_context(_writing(url.url, f"life-{life}"))
            for writer in writers:
                acknowledged += writer.kill()
        with log.watch("/", after=watcher.revision) as watch:
            await log.current()
            watcher.hear(await watch.take(timeout=0))
        watcher.check(acknowledged, log.range("/"))
        # Every number is a write: nothing was skipped.
        assert sorted(watcher.marks) == list(range(1, log.revision + 1))
        assert len(acknowledged) > 100
    finally:
        await log.close()
