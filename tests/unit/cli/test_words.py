"""The same first word from the supervisor and from people."""

import pathlib
import subprocess
import sys

import pytest

from boxfleet.app import settings
from boxfleet.cli import keys, main


def test_the_supervisor_says_where_and_people_say_what() -> None:
    for words in (["server", "--state", "/s", "--run", "/r"], ["agent"], ["supervise", "--state", "/s"], ["renew"]):
        assert main._is_service(words)
    for words in ([], ["server"], ["server", "--help"], ["server", "token"], ["server", "token", "--state", "/s"]):
        assert not main._is_service(words)


@pytest.mark.parametrize(
    "words",
    [
        ["--join", "https://127.0.0.1:1"],
        ["--authority", "sha256:0"],
        ["--token-file", "-"],
        ["--join", "https://127.0.0.1:1", "--token-file", "-"],
    ],
)
def test_who_joins_says_whom_by_which_hash(tmp_path: pathlib.Path, words: list[str]) -> None:
    command = [sys.executable, "-m", "boxfleet", "up", *words, "--state", str(tmp_path / "state")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and "go together" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_of_a_rotation_other_servers_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    keys._tell_of_others(settings.All())
    assert capsys.readouterr().out == ""
    keys._tell_of_others(settings.All(store="postgresql://one@db.example/boxfleet"))
    assert "boxfleet server token here" in capsys.readouterr().out


def test_the_version_is_asked_for_in_two_ways() -> None:
    said = [subprocess.check_output([sys.executable, "-m", "boxfleet", word]) for word in ("version", "--version")]
    assert said[0] == said[1] and said[0].startswith(b"boxfleet ")
