"""Answers that cannot be written."""

import os
import subprocess
import sys

import pytest

BOXFLEET = [sys.executable, "-m", "boxfleet"]
SAY = "from boxfleet.cli import output, stdout; import sys; sys.exit(stdout.guarded(lambda: output.{} or 0))"


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["/bin/sh", "-c", script, "sh", *BOXFLEET]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)


@pytest.mark.parametrize("words", ["--version", "--help"])
def test_a_full_or_closed_output_is_one_line_and_a_failure(words: str) -> None:
    full = run(f'"$@" {words} >/dev/full')
    assert (full.returncode, full.stderr) == (1, "boxfleet: cannot write the answer: No space left on device\n")
    closed = run(f'"$@" {words} >&-')
    assert (closed.returncode, closed.stderr) == (1, "boxfleet: cannot write the answer: Bad file descriptor\n")
    assert run(f'"$@" {words} >&- 2>&-').returncode == 1
    assert run(f'"$@" {words} >/dev/full 2>/dev/full').returncode == 1


def test_readers_that_have_had_enough_are_no_fault() -> None:
    assert run('"$@" --help | true').stderr == ""


@pytest.mark.parametrize("call", ["say('├─ é')", "data({'├─': 'é'}, output.options.Format.JSON)"])
def test_what_cannot_be_encoded_is_replaced(call: str) -> None:
    command = [sys.executable, "-c", SAY.format(call)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONIOENCODING": "ascii"}
    )
    assert "??" in done.stdout and done.stderr == ""


def test_other_faults_of_files_are_not_taken_for_it() -> None:
    script = (
        "from boxfleet.cli import stdout; import errno\n"
        "def fail(): raise OSError(errno.ENOSPC, 'elsewhere')\n"
        "stdout.guarded(fail)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "elsewhere" in done.stderr and "cannot write" not in done.stderr
