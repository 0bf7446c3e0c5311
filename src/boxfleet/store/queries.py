"""The SQL of a dialect, read from its files."""

import importlib.resources
import re
from typing import Literal

Dialect = Literal["sqlite", "postgres"]

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def named(dialect: Dialect) -> dict[str, str]:
    """All statements of ``queries.sql`` by name."""
    parts = _NAME.split(text(dialect, "queries.sql"))
    return {
        name: "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip().rstrip(";")
        for name, body in zip(parts[1::2], parts[2::2], strict=True)
    }


def migrations(dialect: Dialect) -> list[str]:
    """The scripts that bring an empty database to the present schema, in order."""
    folder = importlib.resources.files(__package__) / dialect / "sql" / "migrations"
    return [entry.read_text() for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)]


def schema(dialect: Dialect) -> str:
    """The present schema as one script."""
    return text(dialect, "schema.sql")


def text(dialect: Dialect, name: str) -> str:
    """One of the files."""
    return (importlib.resources.files(__package__) / dialect / "sql" / name).read_text()
