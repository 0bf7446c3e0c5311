"""Moving, backing up and restoring, from and to both databases."""

import asyncio
import pathlib
import stat

import pytest

from boxfleet.store import errors, rows, settings, store, transfer, where
from boxfleet.testing import postgres

pytestmark = pytest.mark.anyio

_KNOWN = settings.Settings()
_MADE = "2026-01-01T00:00:00Z"


def _text(value: str):
    return lambda revision: f"{value}@{revision}".encode()


async def _filled(place: where.Where) -> None:
    """Nine revisions, compacted up to the second: two keys live, one deleted."""
    log = await store.Store.open(place, settings.Settings(keep_revisions=0))
    await log.write("/a", _text("one"), expected=0)
    await log.write("/a", _text("two"), expected=1)
    await log.compact(to=2)
    await log.write("/b", _text("first"), expected=0)
    await log.write("/c", _text("gone soon"), expected=0)
    await log.write("/b", lambda revision: bytes(range(256)) * 40, expected=3)
    await log.delete("/c", _text("gone"), expected=4)
    for number in range(3):
        await log.write(f"/more/{number}", _text("x"), expected=0)
    await log.close()


async def _content(place: where.Where) -> tuple[int, int, list[rows.Row], list[tuple[int, str, bytes, bool]]]:
    log = await store.Store.open(place)
    try:
        with log.watch("/", after=log.oldest) as watch:
            changes = await watch.take(timeout=0)
        seen = [(one.revision, one.key, one.value, one.deleted) for one in changes]
        return log.revision, log.oldest, log.range("/"), seen
    finally:
        await log.close()


@pytest.fixture
def places(tmp_path: pathlib.Path, url: where.Postgres) -> dict[str, where.Where]:
    return {"sqlite": tmp_path / "a.db", "postgres": url, "other": tmp_path / "b.db"}


@pytest.mark.parametrize(("source", "target"), [("sqlite", "postgres"), ("postgres", "sqlite"), ("sqlite", "other")])
async def test_a_move_keeps_everything(places: dict[str, where.Where], source: str, target: str) -> None:
    await _filled(places[source])
    before = await _content(places[source])
    assert await transfer.copy(places[source], places[target], settings=_KNOWN) == 9
    # Cut off here, the source is in charge, and a second try takes the place of the first.
    assert await _content(places[source]) == before
    await transfer.copy(places[source], places[target], settings=_KNOWN)
    await transfer.begin(places[target], settings=_KNOWN)
    await transfer.retire(places[source], settings=_KNOWN)
    assert await _content(places[target]) == before
    log = await store.Store.open(places[target])
    assert (await log.write("/next", _text("x"), expected=0)).revision == 10
    await log.close()
    if source == "postgres":
        with pytest.raises(errors.StoreError, match="moved elsewhere"):
            await store.Store.open(places[source])
    else:
        path = places[source]
        assert isinstance(path, pathlib.Path)
        assert not path.exists()
        assert path.with_name("a.db.moved").exists()


@pytest.mark.parametrize("target", ["sqlite", "postgres"])
async def test_what_is_not_empty_is_never_overwritten(places: dict[str, where.Where], target: str) -> None:
    await _filled(places["other"])
    await _filled(places[target])
    before = await _content(places[target])
    with pytest.raises(errors.Occupied, match="there is a store already, at revision 9"):
        await transfer.copy(places["other"], places[target], settings=_KNOWN)
    assert await _content(places[target]) == before


@pytest.mark.parametrize(("source", "target"), [("sqlite", "postgres"), ("postgres", "sqlite")])
async def test_nothing_moves_while_a_server_runs(places: dict[str, where.Where], source: str, target: str) -> None:
    await _filled(places[source])
    log = await store.Store.open(places[source])
    try:
        with pytest.raises(errors.Locked, match="stop"):
            await transfer.copy(places[source], places[target], settings=_KNOWN)
    finally:
        await log.close()
    log = await store.Store.open(places[target])
    try:
        with pytest.raises(errors.Locked, match="stop"):
            await transfer.copy(places[source], places[target], settings=_KNOWN)
    finally:
        await log.close()


@pytest.mark.parametrize(("source", "target"), [("sqlite", "postgres"), ("postgres", "other")])
async def test_a_backup_beside_a_running_server_is_of_one_revision(
    places: dict[str, where.Where], tmp_path: pathlib.Path, source: str, target: str
) -> None:
    await _filled(places[source])
    log = await store.Store.open(places[source])
    stop = asyncio.Event()

    async def work(name: str) -> None:
        number = 0
        while not stop.is_set():
            await log.write(f"/pair/{name}/{number}", _text("x"), expected=0)
            number += 1

    async with asyncio.TaskGroup() as group:
        for name in "abcd":
            group.create_task(work(name))
        while log.revision < 200:
            await asyncio.sleep(0.01)
        header = await transfer.backup(places[source], tmp_path / "backup", made=_MADE, settings=_KNOWN)
        stop.set()
    wanted = log.snapshot("/", revision=header.revision)
    await log.close()
    assert header.revision >= 200
    assert stat.S_IMODE((tmp_path / "backup").stat().st_mode) == 0o600
    count = await transfer.restore(places[target], tmp_path / "backup", revision=None, settings=_KNOWN)
    revision, oldest, live, _ = await _content(places[target])
    assert live == wanted
    assert count == len(live)
    # Clients that remember what came after the backup must list anew.
    assert revision == oldest == header.revision + transfer.AHEAD


async def test_a_restore_to_each_revision_that_the_backup_holds(
    places: dict[str, where.Where], tmp_path: pathlib.Path, cluster: postgres.Cluster
) -> None:
    await _filled(places["sqlite"])
    await transfer.backup(places["sqlite"], tmp_path / "backup", made=_MADE, settings=_KNOWN)
    log = await store.Store.open(places["sqlite"])
    for revision in range(2, 10):
        wanted = log.snapshot("/", revision=revision)
        target = tmp_path / f"{revision}.db"
        await transfer.restore(target, tmp_path / "backup", revision=revision, settings=_KNOWN)
        assert (await _content(target))[2] == wanted
    await log.close()
    for revision in (1, 10):
        with pytest.raises(errors.StoreError, match="holds the revisions from 2 to 9"):
            await transfer.restore(tmp_path / "x.db", tmp_path / "backup", revision=revision, settings=_KNOWN)
    with pytest.raises(errors.Occupied):
        await transfer.restore(places["sqlite"], tmp_path / "backup", revision=None, settings=_KNOWN)


async def test_damage_to_a_backup_is_found(places: dict[str, where.Where], tmp_path: pathlib.Path) -> None:
    await _filled(places["sqlite"])
    file = tmp_path / "backup"
    await transfer.backup(places["sqlite"], file, made=_MADE, settings=_KNOWN)
    with pytest.raises(errors.Occupied, match="is there already"):
        await transfer.backup(places["sqlite"], file, made=_MADE, settings=_KNOWN)
    whole = file.read_bytes()
    damaged = tmp_path / "damaged"
    cases = [whole[:cut] for cut in range(0, len(whole), 7)]
    cases += [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(0, len(whole), 7)]
    cases += [whole + b"x", b"", b"{}\n"]
    for content in cases:
        damaged.write_bytes(content)
        with pytest.raises(errors.StoreError, match="cannot read"):
            await transfer.restore(tmp_path / "x.db", damaged, revision=None, settings=_KNOWN)
    assert not (tmp_path / "x.db").exists()
    assert sorted(one.name for one in tmp_path.iterdir() if "backup" in one.name) == ["backup"]


async def test_a_missing_store_is_named(tmp_path: pathlib.Path, url: where.Postgres) -> None:
    for place in (tmp_path / "none.db", url):
        with pytest.raises(errors.StoreError, match="there is no store"):
            await transfer.backup(place, tmp_path / "backup", made=_MADE, settings=_KNOWN)
    assert list(tmp_path.iterdir()) == []
