"""Image pull secrets: which name and password are for which registry."""

import base64
import json
from typing import Any

import pytest

from boxfleet.api import config, meta, service_account
from boxfleet.api import pod as pods
from boxfleet.planning import pull_secrets


def auth(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def secret(content: Any, *, type_: str = "kubernetes.io/dockerconfigjson") -> config.Secret:
    text = content if isinstance(content, str) else json.dumps(content)
    key = "." + type_.partition("/")[2]
    return config.Secret(type=type_, data={key: base64.b64encode(text.encode()).decode()})


def users(reference: str, content: Any) -> list[str]:
    keys = pull_secrets.look_up(reference, ["a"], {"a": secret(content)})
    return [one.username for one in keys.credentials]


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("nginx", ("docker.io", "nginx")),
        ("team/app:1", ("docker.io", "team/app")),
        ("index.docker.io/library/x", ("docker.io", "library/x")),
        ("127.0.0.1:5000/team/app:1", ("127.0.0.1:5000", "team/app")),
        ("localhost/app@sha256:00", ("localhost", "app")),
        ("r.example.org:5000/a/b:1@sha256:00", ("r.example.org:5000", "a/b")),
    ],
)
def test_a_reference_names_a_registry_and_a_path(reference: str, parts: tuple[str, str]) -> None:
    assert pull_secrets.split(reference) == parts


@pytest.mark.parametrize(
    ("entry", "reference", "fits"),
    [
        ("r.example.org", "r.example.org/a:1", True),
        ("https://r.example.org/v2/", "r.example.org/a:1", True),
        ("r.example.org", "r.example.org:5000/a:1", False),
        ("*.example.org", "r.example.org/a", True),
        ("*.example.org", "a.r.example.org/a", False),
        ("r.example.org/team", "r.example.org/team/app", True),
        ("r.example.org/team", "r.example.org/team2/app", False),
        ("https://index.docker.io/v1/", "team/app", True),
        ("https://index.docker.io/v1/", "r.example.org/app", False),
    ],
)
def test_an_entry_is_for_a_host_and_what_is_below_its_path(entry: str, reference: str, fits: bool) -> None:
    assert users(reference, {"auths": {entry: auth("u", "p")}}) == (["u"] if fits else [])


def test_the_longer_path_comes_first() -> None:
    entries = {"r.example.org": auth("all", "p"), "r.example.org/team": auth("team", "p")}
    assert users("r.example.org/team/app", {"auths": entries}) == ["team", "all"]


def test_passwords_may_have_colons_and_stand_beside_their_names() -> None:
    for entry in (auth("u", "p:q"), {"username": "u", "password": "p:q"}):
        keys = pull_secrets.look_up("r.example.org/a", ["a"], {"a": secret({"auths": {"r.example.org": entry}})})
        assert [(one.username, one.password) for one in keys.credentials] == [("u", "p:q")]
        assert "p:q" not in repr(keys)
    old = secret({"r.example.org": auth("u", "p")}, type_="kubernetes.io/dockercfg")
    assert pull_secrets.look_up("r.example.org/a", ["a"], {"a": old}).credentials[0].username == "u"


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        (None, "is not there"),
        (config.Secret(type="Opaque"), "is of type Opaque, not kubernetes.io/dockerconfigjson"),
        (secret("hidden{"), "does not hold a Docker configuration in its key .dockerconfigjson"),
        (secret("[1]"), "does not hold a Docker configuration in its key .dockerconfigjson"),
        (secret({"auths": [1]}), "does not hold a Docker configuration in its key .dockerconfigjson"),
        (secret({"auths": {"other.example.org": {}}}), "has no entry for r.example.org"),
        (secret({"auths": {"r.example.org": {}}}), "has no user name for this registry"),
        (secret({"auths": {"r.example.org": {"auth": "hidden!"}}}), "has an entry for this registry that is not"),
        (secret({"auths": {"r.example.org": {"auth": 7}}}), "has an entry for this registry that is not"),
        (secret({"auths": {"r.example.org": "hidden"}}), "has an entry for this registry that is not understood"),
    ],
)
def test_a_secret_of_no_use_is_named_without_what_is_in_it(found: config.Secret | None, fault: str) -> None:
    keys = pull_secrets.look_up("r.example.org/a:1", ["a"], {} if found is None else {"a": found})
    assert keys.credentials == ()
    assert keys.faults[0].startswith(f"Secret a of imagePullSecrets {fault}")
    assert "hidden" not in keys.faults[0]


def test_the_accounts_secrets_are_for_pods_without_own_ones() -> None:
    account = service_account.ServiceAccount(
        metadata=meta.ObjectMeta(name="default"), imagePullSecrets=[pods.LocalObjectReference(name="theirs")]
    )
    own = pods.PodSpec(imagePullSecrets=[pods.LocalObjectReference(name="own")])
    assert pull_secrets.names(own, account) == ["own"]
    assert pull_secrets.names(pods.PodSpec(), account) == ["theirs"]
    assert pull_secrets.names(pods.PodSpec(), None) == []
