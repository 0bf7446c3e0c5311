"""Where a log is: a file of SQLite, or a database of PostgreSQL."""

import dataclasses
import pathlib
import urllib.parse

from boxfleet.store import errors

_SCHEMES = ("postgresql", "postgres")


@dataclasses.dataclass(frozen=True, slots=True)
class Postgres:
    """A database by its URL, which holds no password: URLs are shown, in messages, process lists and logs."""

    url: str
    # Read anew for each connection. Without it libpq's own ways hold: PGPASSWORD, PGPASSFILE, ~/.pgpass.
    password_file: pathlib.Path | None = None

    def __str__(self) -> str:
        """The URL without its parameters, for messages."""
        parts = urllib.parse.urlsplit(self.url)
        user, _, host = parts.netloc.rpartition("@")
        host = host or urllib.parse.parse_qs(parts.query).get("host", [""])[0]
        return f"{parts.scheme}://{f'{user}@' if user else ''}{host}{parts.path}"

    def password(self) -> str:
        """What the file holds; raises StoreError."""
        assert self.password_file is not None
        try:
            if self.password_file.stat().st_mode & 0o077:
                raise errors.StoreError(
                    f"{self.password_file} holds a password and others may read it: chmod 600 {self.password_file}"
                )
            return self.password_file.read_text().strip()
        except OSError as error:
            raise errors.StoreError(f"cannot read the database's password: {error}") from None


Where = pathlib.Path | Postgres


def parse(text: str, *, password_file: str = "", default: pathlib.Path) -> Where:
    """A place by its name: empty for the default file, else a URL of PostgreSQL or an absolute path.

    Raises StoreError.
    """
    if not text:
        return default
    if text.startswith("/"):
        return pathlib.Path(text)
    parts = urllib.parse.urlsplit(text)
    if parts.scheme not in _SCHEMES:
        raise errors.StoreError(
            f"cannot use {parts.scheme or text!r} as a store: it must be a URL postgresql://USER@HOST/DATABASE, or the "
            "absolute path of a SQLite file"
        )
    user = parts.netloc.rpartition("@")[0]
    if ":" in user or "password" in urllib.parse.parse_qs(parts.query):
        raise errors.StoreError(
            "the store's URL holds a password, which would be seen in process lists and files: put it into a file of "
            "its own, readable by its owner only, and name that by `store_password_file`"
        )
    return Postgres(text, pathlib.Path(password_file) if password_file else None)
