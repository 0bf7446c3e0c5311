"""The file of keys for Secrets, and moving to a new key."""

import datetime
import pathlib

import pytest

from boxfleet.app import secret_keys
from boxfleet.store import store
from boxfleet.testing import server

pytestmark = pytest.mark.anyio

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def test_the_file_is_made_once_and_is_for_its_owner_only(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "secrets.keys"
    secret_keys.ensure(path, now=NOW)
    first = path.read_bytes()
    secret_keys.ensure(path, now=NOW)
    assert path.read_bytes() == first
    assert path.stat().st_mode & 0o777 == 0o600
    added = secret_keys.add(path, now=NOW)
    assert secret_keys.load(path).key_id == added
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is no file of keys"),
        (b"[]", "has no key"),
        (b'[{"id":"00000000","created":"","key":"AAAA"}]', "the key 00000000 is damaged"),
        (b'[{"id":"00000000","created":"","key":"?"}]', "the key 00000000 is damaged"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: pathlib.Path, content: bytes, words: str) -> None:
    path = tmp_path / "secrets.keys"
    with pytest.raises(secret_keys.KeyFileError, match="bring it back from a backup"):
        secret_keys.load(path)
    path.write_bytes(content)
    with pytest.raises(secret_keys.KeyFileError, match=words):
        secret_keys.load(path)


async def test_after_a_rotation_all_secrets_lie_under_the_new_key(tmp_path: pathlib.Path) -> None:
    keys, folder = tmp_path / "secrets.keys", tmp_path / "state"
    folder.mkdir()
    # Written before there was any encryption.
    async with server.running(folder) as api:
        for name in ("a", "b", "c"):
            body = {"metadata": {"name": name}, "stringData": {"word": f"plain-{name}"}}
            assert (await server.send(api.app, "POST", "/api/v1/namespaces/default/secrets", body)).status == 201
    for _ in range(2):
        secret_keys.add(keys, now=NOW)
        codec = secret_keys.load(keys)
        opened = await store.Store.open(folder / "boxfleet.db", codec=codec)
        before = {row.key: row.value for row in opened.range("//secrets/")}
        assert await secret_keys.rewrite(opened, codec) == 3
        assert await secret_keys.rewrite(opened, codec) == 0
        for row in opened.range("//secrets/"):
            assert f'"resourceVersion":"{row.revision}"'.encode() in row.value
            assert row.value.split(b'"data"')[1] == before[row.key].split(b'"data"')[1]
        await opened.close()
