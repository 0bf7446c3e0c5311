"""Completion in shells: the scripts, and what they ask the command for."""

import os
import pathlib
import subprocess
import sys

import pytest


def boxfleet(*words: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "boxfleet", *words],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_bash_completes_commands_and_options(tmp_path: pathlib.Path) -> None:
    command = tmp_path / "boxfleet"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m boxfleet "$@"\n')
    command.chmod(0o755)
    (tmp_path / "script").write_text(boxfleet("completion", "bash"))
    for words, expected in [
        ("sta", ["status"]),
        ("image r", ["remove"]),
        ("up --cid", ["--cidr"]),
        ("server t", ["token"]),
    ]:
        count = len(words.split())
        asked = f"source script; COMP_WORDS=(boxfleet {words}); COMP_CWORD={count}; _boxfleet_completion boxfleet"
        answer = subprocess.run(
            ["bash", "-c", asked + '; printf "%s\\n" "${COMPREPLY[@]}"'],
            cwd=tmp_path,
            env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert answer.stdout.split() == expected


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_ask_in_their_way(shell: str) -> None:
    assert f"complete_{shell}" in boxfleet("completion", shell)
    asked = {"_TYPER_COMPLETE_ARGS": "boxfleet sta", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    said = boxfleet(_BOXFLEET_COMPLETE=f"complete_{shell}", **asked)
    assert "status" in said and "doctor" not in said
