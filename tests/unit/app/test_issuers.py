"""The file that names other issuers."""

import pathlib

import pytest

from boxfleet.app import issuers

GOOD = """
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
  - issuer: {url: "https://login.example.org", audiences: [fleet]}
    claimMappings:
      username: {claim: email}
      groups: {claim: groups, prefix: "corp:"}
"""


def test_no_file_names_nobody(tmp_path: pathlib.Path) -> None:
    assert issuers.load(tmp_path / "authentication.yaml") == []


def test_kubernetes_own_form_is_read(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "authentication.yaml"
    path.write_text(GOOD)
    (found,) = issuers.load(path)
    assert (found.issuer.url, found.claimMappings.username.claim) == ("https://login.example.org", "email")


@pytest.mark.parametrize(("change", "words"), [("claim: email", "clam"), ("https:", "http"), ("[fleet]", "audiences")])
def test_what_makes_no_sense_is_said_with_the_place(tmp_path: pathlib.Path, change: str, words: str) -> None:
    path = tmp_path / "authentication.yaml"
    path.write_text(GOOD.replace(change, {"clam": "clam: email", "http": "http:", "audiences": "[]"}[words]))
    with pytest.raises(issuers.IssuersError, match=words):
        issuers.load(path)
