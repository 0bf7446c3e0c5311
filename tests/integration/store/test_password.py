"""The database's password comes from a file, and is seen nowhere else."""

import pathlib

import pytest

from boxfleet.store import errors, store, where
from boxfleet.testing import postgres

pytestmark = pytest.mark.anyio


async def test_a_password_opens_the_database_and_is_never_told(
    cluster: postgres.Cluster, database: str, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.make_user("keyed", password="sesame")
    try:
        url = cluster.url(database).replace("boxfleet@", "keyed@")
        file = tmp_path / "password"
        file.write_text("sesame\n")
        file.chmod(0o600)
        log = await store.Store.open(where.Postgres(url, file))
        # The file is read for each connection: a new password is taken up by itself.
        await log.write("/a", lambda _: b"x", expected=0)
        await log.close()
        file.write_text("wrong sesame\n")
        with pytest.raises(errors.StoreError, match="password authentication failed") as refused:
            await store.Store.open(where.Postgres(url, file))
        assert "sesame" not in f"{refused.value} {caplog.text}"
        file.chmod(0o640)
        with pytest.raises(errors.StoreError, match="chmod 600"):
            await store.Store.open(where.Postgres(url, file))
    finally:
        cluster.sql("DROP OWNED BY keyed CASCADE", database=database)
        cluster.sql("DROP ROLE keyed")
