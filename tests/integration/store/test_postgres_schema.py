"""PostgreSQL's schema that people read is the one that migrations make, by the database's own dump."""

import asyncpg
import pytest

from boxfleet.store import errors, queries, store, where
from boxfleet.testing import postgres

pytestmark = pytest.mark.anyio


async def test_schema_is_what_the_migrations_make(
    cluster: postgres.Cluster, database: str, url: where.Postgres
) -> None:
    log = await store.Store.open(url)
    await log.close()
    migrated = cluster.dump_schema(database)
    cluster.sql("DROP SCHEMA boxfleet CASCADE", database=database)
    cluster.sql(queries.schema("postgres"), database=database)
    assert cluster.dump_schema(database) == migrated
    assert "CREATE TABLE boxfleet.log" in migrated


async def test_all_queries_prepare(url: where.Postgres) -> None:
    await (await store.Store.open(url)).close()
    connection = await asyncpg.connect(url.url)
    try:
        for sql in queries.named("postgres").values():
            await connection.prepare(sql)
    finally:
        await connection.close()


async def test_a_newer_schema_is_refused(cluster: postgres.Cluster, database: str, url: where.Postgres) -> None:
    await (await store.Store.open(url)).close()
    cluster.sql("UPDATE boxfleet.migration SET version = 99", database=database)
    with pytest.raises(errors.StoreError, match="newer Boxfleet"):
        await store.Store.open(url)


async def test_a_database_that_cannot_be_used_is_named(cluster: postgres.Cluster) -> None:
    with pytest.raises(errors.StoreError, match=r"cannot open postgresql://boxfleet@.*/missing: .*does not exist"):
        await store.Store.open(where.Postgres(cluster.url("missing")))
    with pytest.raises(errors.Unavailable, match="cannot open postgresql:///tmp/nowhere/postgres"):
        await store.Store.open(where.Postgres("postgresql:///postgres?host=/tmp/nowhere"))
