"""Audit files: turned over, kept, cleared; and the policies that say what goes into them."""

import asyncio
import datetime
import pathlib
import stat

import pytest

from boxfleet.apiserver.audit import files, journal, policy
from boxfleet.kit import clock

pytestmark = pytest.mark.anyio


async def test_lines_of_one_turn_are_written_together_and_files_are_roots_own(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "audit"
    book = journal.Journal(folder, server="one", clock=clock.SystemClock())
    book.start()
    for number in range(3):
        book.append(b"%d\n" % number)
    waiting = book.written()
    assert not waiting.done()
    await waiting
    assert (folder / "one.jsonl").read_bytes() == b"0\n1\n2\n"
    assert stat.S_IMODE((folder / "one.jsonl").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    await book.stop()
    assert [path.name for path in folder.iterdir()] == ["one.jsonl"]


async def test_a_torn_line_is_ended(tmp_path: pathlib.Path) -> None:
    (tmp_path / "one.jsonl").write_bytes(b'{"whole":1}\n{"torn')
    book = journal.Journal(tmp_path, server="one", clock=clock.SystemClock())
    book.start()
    book.append(b"next\n")
    await book.stop()
    assert (tmp_path / "one.jsonl").read_bytes() == b'{"whole":1}\n{"torn\nnext\n'


async def test_a_large_file_is_set_aside(tmp_path: pathlib.Path) -> None:
    book = journal.Journal(tmp_path, server="one", clock=clock.SystemClock(), keeping=files.Keeping(file_bytes=10))
    book.start()
    book.append(b"0123456789\n")
    await book.written()
    async with asyncio.timeout(20):
        while len(files.listed(tmp_path)["one"]) < 2:
            await asyncio.sleep(0.01)
    book.append(b"next\n")
    await book.written()
    old, new = files.listed(tmp_path)["one"]
    await book.stop()
    assert (old.read_bytes(), new.read_bytes()) == (b"0123456789\n", b"next\n")
    assert new.name == "one.jsonl"


async def test_what_is_too_old_or_too_much_goes(tmp_path: pathlib.Path) -> None:
    now = datetime.datetime(2030, 1, 10, tzinfo=datetime.UTC)
    for day in range(1, 9):
        (tmp_path / "one.jsonl").write_bytes(b"x" * 100)
        files.set_aside(tmp_path, "one", now=now.replace(day=day))
    (tmp_path / "one-more.jsonl").write_bytes(b"another server's")
    removed = files.clear(tmp_path, "one", files.Keeping(seconds=6 * 86400, total_bytes=10_000), now=now)
    assert [files.closed_at(path).day for path in removed] == [1, 2, 3]
    removed = files.clear(tmp_path, "one", files.Keeping(seconds=6 * 86400, total_bytes=250), now=now)
    assert [files.closed_at(path).day for path in removed] == [4, 5, 6]
    assert {server: len(paths) for server, paths in files.listed(tmp_path).items()} == {"one": 2, "one-more": 1}


async def test_a_log_that_cannot_be_opened_is_tried_again(tmp_path: pathlib.Path) -> None:
    (tmp_path / "audit").write_text("in the way")
    book = journal.Journal(tmp_path / "audit", server="one", clock=clock.SystemClock())
    book.start()
    assert book.trouble
    book.append(b"a\n")
    with pytest.raises(OSError, match="exists"):
        await book.written()
    (tmp_path / "audit").unlink()
    async with asyncio.timeout(20):
        while book.trouble:
            await asyncio.sleep(0.01)
    await book.stop()
    assert (tmp_path / "audit" / "one.jsonl").read_bytes() == b"a\n"


def _said(made: policy.Policy, subject: policy.Subject, *, user: str = "jane", name: str = "") -> bool | None:
    return policy.wanted(made.may_fit(subject), user=user, groups=("dev",), namespace="shop", name=name, path="/x/y")


def test_the_first_rule_that_fits_decides(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(
        """
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- {level: None, users: [robot]}
- {level: None, namespaces: [other]}
- level: Metadata
  verbs: [get]
  resources:
  - {group: "", resources: [secrets], resourceNames: [crown]}
  - {group: apps, resources: ["*/scale"]}
- {level: None, nonResourceURLs: [/healthz*]}
"""
    )
    made = policy.load(path)
    secrets = policy.Subject(verb="get", resource="secrets")
    assert _said(made, secrets, name="crown") is True
    assert _said(made, secrets, name="crown", user="robot") is False
    assert _said(made, secrets, name="shoe") is None
    assert _said(made, policy.Subject(verb="get", group="apps", resource="deployments", subresource="scale")) is True
    assert _said(made, policy.Subject(verb="get", group="apps", resource="deployments")) is None
    assert _said(made, policy.Subject(verb="list", resource="secrets"), name="crown") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: Request}]}", "bodies are never recorded"),
        ("{apiVersion: v1, kind: Policy, rules: []}", "apiVersion"),
        ("{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: None, user: [a]}]}", "user"),
        ("a: [", "cannot read"),
    ],
)
def test_a_policy_that_cannot_be_followed_is_refused(tmp_path: pathlib.Path, text: str, words: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(policy.PolicyError, match=words):
        policy.load(path)
    with pytest.raises(policy.PolicyError, match="No such file"):
        policy.load(tmp_path / "none")
