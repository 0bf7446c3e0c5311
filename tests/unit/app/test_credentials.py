"""Tokens: said once, kept as hashes, made anew only when one is lost."""

import pathlib
import stat

import pytest
import yaml

from boxfleet.app import credentials, paths


@pytest.fixture
def where(tmp_path: pathlib.Path) -> paths.Paths:
    found = paths.Paths(tmp_path / "state", tmp_path / "run")
    found.pki.mkdir(parents=True)
    found.ca_certificate.write_text("authority")
    return found


def ensure(where: paths.Paths, *, node: str = "one", server: str = "https://127.0.0.1:7443") -> str:
    return credentials.ensure(where, node=node, server=server).admin_token


def test_the_admin_token_is_told_once_and_kept_as_a_hash(where: paths.Paths) -> None:
    token = ensure(where)
    assert token and ensure(where) == ""
    text = where.token_hashes.read_text()
    assert token not in text and credentials.digest(token) in text
    assert {i.user for i in credentials.load(where)} == {"admin", "system:bootstrap:host:one"}


def test_the_kubeconfig_has_all_that_kubectl_needs(where: paths.Paths) -> None:
    token = ensure(where)
    config = yaml.safe_load(where.admin_kubeconfig.read_text())
    assert config["users"][0]["user"]["token"] == token
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:7443"
    for path in where.credentials.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_another_port_keeps_the_token(where: paths.Paths) -> None:
    token = ensure(where)
    assert ensure(where, server="https://127.0.0.1:9999") == ""
    assert credentials.token_of(where.admin_kubeconfig) == token
    assert "9999" in where.admin_kubeconfig.read_text()


def test_a_lost_kubeconfig_gives_a_new_token_and_ends_the_old(where: paths.Paths) -> None:
    old = ensure(where)
    where.admin_kubeconfig.unlink()
    new = ensure(where)
    hashes = {i.sha256 for i in credentials.load(where)}
    assert new and new != old
    assert credentials.digest(old) not in hashes and credentials.digest(new) in hashes


def test_a_crash_before_the_hashes_are_written_is_mended(where: paths.Paths) -> None:
    first = ensure(where)
    agent = where.agent_token.read_text()
    where.token_hashes.unlink()
    second = ensure(where)
    assert second and second != first and where.agent_token.read_text() != agent
    assert len(credentials.load(where)) == 2


def test_a_renamed_node_gets_a_token_of_its_own(where: paths.Paths) -> None:
    ensure(where)
    agent = where.agent_token.read_text()
    ensure(where, node="two")
    assert where.agent_token.read_text() != agent
    assert {i.user for i in credentials.load(where)} == {"admin", "system:bootstrap:host:two"}


def test_the_token_of_another_server_is_taken_over(where: paths.Paths) -> None:
    credentials.adopt(where, token="theirs", server="https://127.0.0.1:7443")
    assert ensure(where) == ""
    assert credentials.token_of(where.admin_kubeconfig) == "theirs"
    agent = where.agent_token.read_text()
    credentials.adopt(where, token="newer", server="https://127.0.0.1:7443")
    assert ensure(where) == "" and where.agent_token.read_text() == agent
    assert {i.sha256 for i in credentials.load(where) if i.user == "admin"} == {credentials.digest("newer")}
