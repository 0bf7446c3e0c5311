"""Kubeconfigs that can be used, and what is said of those that cannot."""

import base64
import datetime
import json
from typing import Any

import pytest
import yaml

from boxfleet.drivers.kubernetes import kubeconfig
from boxfleet.ports import cluster
from boxfleet.testing import certificates

AUTHORITY = certificates.Authority.make()


def data(content: bytes) -> str:
    return base64.b64encode(content).decode()


def text(*, user: dict[str, Any] | None = None, **place: Any) -> str:
    server = {"server": "https://k.example:6443/base/", "certificate-authority-data": data(AUTHORITY.certificate_pem)}
    return yaml.safe_dump(
        {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": server | place}],
            "users": [{"name": "u", "user": {"token": "t"} if user is None else user}],
        }
    )


def test_a_token() -> None:
    access = kubeconfig.parse(text(**{"tls-server-name": "kubernetes"}))
    assert (access.url, access.server_name, access.token) == ("https://k.example:6443/base", "kubernetes", "t")
    assert access.hint == ""
    assert "token" not in repr(access)


def test_a_client_certificate() -> None:
    pair = AUTHORITY.issue("boxfleet", organizations=("drivers",))
    user = {"client-certificate-data": data(pair.certificate_pem), "client-key-data": data(pair.key_pem)}
    access = kubeconfig.parse(text(user=user))
    assert access.expires is not None
    assert access.hint.startswith("they are valid until 2")


def test_a_token_tells_when_it_ended() -> None:
    ended = datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC)
    claims = base64.urlsafe_b64encode(json.dumps({"exp": int(ended.timestamp())}).encode()).decode().rstrip("=")
    access = kubeconfig.parse(text(user={"token": f"h.{claims}.s"}))
    assert access.hint == "they expired 2020-01-02T00:00:00Z"


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ("{", "not YAML"),
        ("- a", "no kubeconfig"),
        ("a: b", "no context ''"),
        (text(user={"exec": {"command": "x"}}), "from a program"),
        (text(user={"auth-provider": {}}), "from a program"),
        (text(user={"username": "a", "password": "b"}), "'username'"),
        (text(user={"token": "t", "as": "root"}), "'as'"),
        (text(user={"tokenFile": "/t"}), "file of another machine"),
        (text(user={}), "neither a token"),
        (text(**{"certificate-authority": "/ca"}), "file of another machine"),
        (text(**{"insecure-skip-tls-verify": True}), "everybody on the way"),
        (text(**{"proxy-url": "http://p"}), "'proxy-url'"),
        (text(server="http://k"), "no https URL"),
        (text(**{"certificate-authority-data": "%"}), "not base64"),
        (text(**{"certificate-authority-data": data(b"no certificate")}), "certificates cannot be used"),
    ],
)
def test_what_cannot_be_used_is_said(wrong: str, word: str) -> None:
    with pytest.raises(cluster.Denied, match=word):
        kubeconfig.parse(wrong)
