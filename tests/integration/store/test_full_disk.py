"""A full disk under either database: a clear refusal, no damage, and writes again when there is room."""

import contextlib
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

import pytest

from boxfleet.store import errors, store, where
from boxfleet.testing import postgres

pytestmark = [pytest.mark.anyio, pytest.mark.machine]

_MIB = 2**20


@contextlib.contextmanager
def _disk(mebibytes: int) -> Iterator[pathlib.Path]:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bf-store-disk-", dir="/tmp"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=755", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


async def _fill(log: store.Store) -> int:
    """Write until it is refused; how many were acknowledged."""
    written = 0
    try:
        for number in range(1000):
            await log.write(f"/{number}", lambda _: bytes(_MIB // 8), expected=0)
            written += 1
    except errors.Full as error:
        assert "full" in str(error)
        assert "make room" in str(error)
        return written
    raise AssertionError("the disk never became full")


async def _refuses_and_recovers(place: where.Where, ballast: pathlib.Path) -> None:
    log = await store.Store.open(place)
    written = await _fill(log)
    assert written > 3
    with log.watch("/", after=log.revision) as watch:
        with pytest.raises(errors.Full):
            await log.write("/more", lambda _: bytes(_MIB), expected=0)
        assert len(log.range("/")) == written
        ballast.unlink()
        row = await log.write("/more", lambda _: bytes(_MIB), expected=0)
        assert [change.revision for change in await watch.take(timeout=1)] == [row.revision]
    await log.close()
    log = await store.Store.open(place)
    assert len(log.range("/")) == written + 1
    await log.close()


async def test_sqlite() -> None:
    with _disk(32) as folder:
        ballast = folder / "ballast"
        ballast.write_bytes(bytes(18 * _MIB))
        await _refuses_and_recovers(folder / "a.db", ballast)


async def test_postgresql(cluster: postgres.Cluster) -> None:
    with _disk(32) as folder:
        ballast = folder / "ballast"
        ballast.write_bytes(bytes(12 * _MIB))
        space = folder / "space"
        space.mkdir()
        shutil.chown(space, user=cluster.folder.owner())
        cluster.sql(f"CREATE TABLESPACE small LOCATION '{space}'")
        try:
            cluster.sql("CREATE DATABASE small TABLESPACE small")
            try:
                # Compressed, a page of zeros would fit for ever.
                place = where.Postgres(cluster.url("small"))
                await (await store.Store.open(place)).close()
                cluster.sql("ALTER TABLE boxfleet.log ALTER COLUMN value SET STORAGE EXTERNAL", database="small")
                await _refuses_and_recovers(place, ballast)
            finally:
                cluster.sql("DROP DATABASE small WITH (FORCE)")
        finally:
            cluster.sql("DROP TABLESPACE small")
