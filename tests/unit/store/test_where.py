import pathlib

import pytest

from boxfleet.store import errors, where

_DEFAULT = pathlib.Path("/var/lib/boxfleet/store/boxfleet.db")


def test_places_are_known_by_their_names() -> None:
    assert where.parse("", default=_DEFAULT) == _DEFAULT
    assert where.parse("/srv/a.db", default=_DEFAULT) == pathlib.Path("/srv/a.db")
    database = where.parse("postgresql://me@db.example:5433/fleet?sslmode=verify-full", default=_DEFAULT)
    assert str(database) == "postgresql://me@db.example:5433/fleet"
    socket = where.parse("postgresql:///fleet?host=/run/postgresql", default=_DEFAULT)
    assert str(socket) == "postgresql:///run/postgresql/fleet"


@pytest.mark.parametrize(
    "url", ["postgresql://me:sesame@db/fleet", "postgres://db/fleet?password=sesame", "postgresql://:sesame@db/fleet"]
)
def test_a_password_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(errors.StoreError, match="store_password_file") as caught:
        where.parse(url, default=_DEFAULT)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("url", ["mysql://db/fleet", "fleet.db", "sqlite:fleet.db"])
def test_other_places_are_refused(url: str) -> None:
    with pytest.raises(errors.StoreError, match="must be a URL"):
        where.parse(url, default=_DEFAULT)


def test_a_password_comes_from_a_file_of_its_owner(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "password"
    database = where.parse("postgresql://me@db/fleet", password_file=str(file), default=_DEFAULT)
    assert isinstance(database, where.Postgres)
    with pytest.raises(errors.StoreError, match="cannot read"):
        database.password()
    file.write_text("sesame\n")
    file.chmod(0o644)
    with pytest.raises(errors.StoreError, match="chmod 600"):
        database.password()
    file.chmod(0o600)
    assert database.password() == "sesame"
    assert "sesame" not in repr(database)
