"""What is on disk before the services start."""

import datetime
import pathlib

import pytest

from boxfleet.app import bootstrap, paths, settings

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture
def known(tmp_path: pathlib.Path) -> settings.All:
    return settings.All(state=str(tmp_path / "state"), run=str(tmp_path / "run"))


def test_services_that_know_an_old_token_start_anew(known: settings.All) -> None:
    where = paths.of(known)
    assert bootstrap.prepare(known, now=NOW).changed == {"server", "agent"}
    assert bootstrap.prepare(known, now=NOW).changed == set()
    where.agent_token.unlink()
    assert bootstrap.prepare(known, now=NOW).changed == {"server", "agent"}
    where.admin_kubeconfig.unlink()
    again = bootstrap.prepare(known, now=NOW)
    assert again.admin_token
    assert "server" in again.changed


def test_services_start_anew_with_keys_that_were_fetched(known: settings.All) -> None:
    bootstrap.prepare(known, now=NOW)
    paths.of(known).joined.write_text("by a token")
    assert bootstrap.prepare(known, now=NOW).changed == {"server", "agent"}
    assert bootstrap.prepare(known, now=NOW).changed == set()


def test_what_is_secret_is_closed_to_others(known: settings.All) -> None:
    token = bootstrap.prepare(known, now=NOW).admin_token
    where = paths.of(known)
    for folder in (where.pki, where.credentials, where.store.parent, where.agent, where.logs, where.images):
        assert folder.stat().st_mode & 0o777 == 0o700, folder
    for file in (
        where.pki / "ca.key",
        where.server_key,
        where.secret_keys,
        where.token_hashes,
        where.agent_token,
        where.admin_kubeconfig,
    ):
        assert file.stat().st_mode & 0o777 == 0o600, file
    agent_token = where.agent_token.read_text().strip()
    for file in [*where.run.rglob("*"), *(each for each in where.state.glob("*") if each.is_file())]:
        if file.is_file():
            text = file.read_text()
            assert token not in text, file
            assert agent_token not in text, file
