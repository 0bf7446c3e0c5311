"""Both databases do what the store needs."""

import contextlib
import pathlib
import sqlite3
from collections.abc import AsyncIterator

import pytest

from boxfleet.store import codec as codecs
from boxfleet.store import settings as settings_
from boxfleet.store import store as stores
from boxfleet.store import where
from boxfleet.testing import postgres
from boxfleet.testing.conformance import store as conformance


class _Opener:
    def __init__(self, place: where.Where) -> None:
        self._place = place
        self.opened: list[stores.Store] = []

    async def __call__(
        self,
        settings: settings_.Settings = settings_.Settings(),  # noqa: B008
        *,
        codec: codecs.Codec = codecs.Identity(),  # noqa: B008
    ) -> stores.Store:
        opened = await stores.Store.open(self._place, settings, codec=codec)
        self.opened.append(opened)
        return opened

    async def close(self) -> None:
        for opened in self.opened:
            await opened.close()


class TestSqlite(conformance.StoreConformance):
    @pytest.fixture
    async def bed(self, tmp_path: pathlib.Path, anyio_backend: str) -> AsyncIterator[conformance.StoreBed]:
        path = tmp_path / "a.db"

        def stored() -> list[tuple[int, str, bytes]]:
            with contextlib.closing(sqlite3.connect(path)) as connection:
                return connection.execute("SELECT revision, key, value FROM log ORDER BY revision").fetchall()

        opener = _Opener(path)
        yield conformance.StoreBed(open=opener, stored=stored)
        await opener.close()


class TestPostgres(conformance.StoreConformance):
    @pytest.fixture
    async def bed(
        self, cluster: postgres.Cluster, database: str, anyio_backend: str
    ) -> AsyncIterator[conformance.StoreBed]:
        def stored() -> list[tuple[int, str, bytes]]:
            lines = cluster.sql(
                "SELECT revision, key, encode(value, 'hex') FROM boxfleet.log ORDER BY revision", database=database
            ).splitlines()
            parts = [line.split("|") for line in lines]
            return [(int(revision), key, bytes.fromhex(value)) for revision, key, value in parts]

        opener = _Opener(where.Postgres(cluster.url(database)))
        yield conformance.StoreBed(open=opener, stored=stored)
        await opener.close()
