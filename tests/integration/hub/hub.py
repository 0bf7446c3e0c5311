"""What tests on a hub have in common."""

import json
import pathlib
import subprocess
import sys
from typing import Any

import pytest

from boxfleet.api import catalog, kind
from boxfleet.testing.kubernetes import programs, server

EXAMPLES = pathlib.Path(__file__).parents[3] / "examples"
OWN = [each for each in catalog.TYPES if each.KIND.group == kind.GROUP]
MARKS = [
    pytest.mark.kubernetes("kube-apiserver", "kube-controller-manager", "kubectl"),
    pytest.mark.skipif(bool(programs.lacking()), reason=f"this machine lacks {programs.lacking()}"),
]


def kubectl(kube: server.Server, *words: str, stdin: Any = "") -> subprocess.CompletedProcess[str]:
    """Run kubectl of the server's own version as its administrator; objects for stdin may be plain data."""
    text = stdin if isinstance(stdin, str) else json.dumps(stdin)
    command = [str(programs.path("kubectl")), f"--kubeconfig={kube.kubeconfig}", *words]
    return subprocess.run(command, input=text, check=False, capture_output=True, text=True)


def done(kube: server.Server, *words: str, stdin: Any = "") -> str:
    """What it says; it must succeed."""
    found = kubectl(kube, *words, stdin=stdin)
    assert found.returncode == 0, found.stderr
    return found.stdout


def boxfleet(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command as people do."""
    command = [sys.executable, "-m", "boxfleet", *words]
    return subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
