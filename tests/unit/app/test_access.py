"""Ways into the API: the admin's, and that of a kubeconfig which somebody was given."""

import base64
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from boxfleet.app import access, credentials, paths, settings

CONFIG: dict[str, Any] = yaml.safe_load(credentials.kubeconfig(server="https://h:1", authority=b"PEM", token="t"))


@pytest.fixture
def home() -> Iterator[pathlib.Path]:
    with tempfile.TemporaryDirectory(prefix="bf-access-", dir="/tmp") as folder:
        path = pathlib.Path(folder)
        path.chmod(0o755)
        yield path


def test_a_kubeconfig_of_ours(home: pathlib.Path) -> None:
    (home / "k").write_text(yaml.safe_dump(CONFIG))
    assert access.read_kubeconfig(home / "k") == access.Way(server="https://h:1", token="t", authority="PEM")


def test_the_current_context_counts_and_files_are_found_beside_it(home: pathlib.Path) -> None:
    (home / "ca").write_text("OTHER")
    (home / "token").write_text("secret\n")
    config = {
        "current-context": "b",
        "contexts": [
            {"name": "a", "context": {"cluster": "boxfleet", "user": "admin"}},
            {"name": "b", "context": {"cluster": "other", "user": "me"}},
        ],
        "clusters": [
            *CONFIG["clusters"], {"name": "other", "cluster": {"server": "https://o", "certificate-authority": "ca"}},
        ],
        "users": [*CONFIG["users"], {"name": "me", "user": {"tokenFile": "token"}}],
    }  # fmt: skip
    (home / "k").write_text(yaml.safe_dump(config))
    assert access.read_kubeconfig(home / "k") == access.Way(server="https://o", token="secret", authority="OTHER")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot read"),
        ("[", "not a kubeconfig"),
        ("", "not a kubeconfig"),
        ("a: 1", "not a kubeconfig"),
        (yaml.safe_dump(CONFIG | {"current-context": "gone"}), "not a kubeconfig"),
        (yaml.safe_dump(CONFIG | {"users": []}), "no token and no certificate"),
        (yaml.safe_dump(CONFIG).replace(base64.b64encode(b"PEM").decode(), "%"), "not a kubeconfig"),
    ],
)
def test_what_is_no_way_in_is_told(home: pathlib.Path, text: str | None, words: str) -> None:
    if text is not None:
        (home / "k").write_text(text)
    with pytest.raises(access.NoAccess, match=words):
        access.read_kubeconfig(home / "k")


def as_nobody(work: Callable[[], None]) -> str:
    """What a piece of work fails with, run by a user without rights; empty when it does not fail."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        try:
            work()
        except Exception as error:
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as said:
        return said.read()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_who_may_not_look_is_told_so_and_what_to_do(home: pathlib.Path) -> None:
    known = settings.All(state=str(home / "state"), run=str(home / "run"))
    where = paths.of(known)
    # Where nothing is, nothing is hidden.
    assert as_nobody(lambda: access.require_sight(known)) == ""
    where.services.mkdir(parents=True)
    paths.make_private(where.state)
    said = as_nobody(lambda: access.require_sight(known))
    assert said.startswith("NoAccess: this user may not look into") and "sudo" in said and "--kubeconfig" in said
    access.require_sight(known)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_settings_that_may_not_be_read_say_what_to_do(home: pathlib.Path) -> None:
    paths.make_private(home / "state")
    said = as_nobody(lambda: settings.load(settings.All, flags={"state": str(home / "state")}, environ={}) and None)
    assert said.startswith("SettingsError") and "sudo" in said
