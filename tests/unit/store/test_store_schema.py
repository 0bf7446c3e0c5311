"""The schema that people read is the one that migrations make."""

import sqlite3

import pytest

from boxfleet.store import queries


def _described(script: str) -> list[tuple[str, str, str]]:
    with sqlite3.connect(":memory:") as connection:
        connection.executescript(script)
        rows = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name").fetchall()
    connection.close()
    return [(type_, name, " ".join((sql or "").split())) for type_, name, sql in rows]


def test_schema_is_what_the_migrations_make() -> None:
    assert _described(queries.schema("sqlite")) == _described("\n".join(queries.migrations("sqlite")))


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_every_query_is_named_and_described(dialect: queries.Dialect) -> None:
    text = queries.text(dialect, "queries.sql")
    for part in text.split("-- name: ")[1:]:
        name, description, *_ = part.splitlines()
        assert name.isidentifier()
        assert description.startswith("-- "), f"{name} has no description"


def test_all_queries_prepare() -> None:
    with sqlite3.connect(":memory:") as connection:
        connection.executescript(queries.schema("sqlite"))
        for name, sql in queries.named("sqlite").items():
            arguments = [0] * sql.count("?")
            connection.execute(f"EXPLAIN {sql}", arguments).fetchall(), name
    connection.close()
