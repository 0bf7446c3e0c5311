"""The SQL of this package, read from its files."""

import importlib.resources
import re

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def named() -> dict[str, str]:
    """All statements of ``queries.sql`` by name."""
    parts = _NAME.split(_read("queries.sql"))
    return {
        name: "\n".join(line for line in text.splitlines() if not line.startswith("--")).strip().rstrip(";")
        for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def migrations() -> list[str]:
    """The scripts that bring an empty database to the present schema, in order."""
    folder = importlib.resources.files(__package__) / "sql" / "migrations"
    return [entry.read_text() for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)]


def schema() -> str:
    """The present schema as one script."""
    return _read("schema.sql")


def _read(name: str) -> str:
    return (importlib.resources.files(__package__) / "sql" / name).read_text()
