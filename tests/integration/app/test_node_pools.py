"""A NodePool whose machines a script makes: they join for real, run what waits, and go when nobody needs them."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
from collections.abc import Iterator

import pytest
from tests.integration.app import hosts_bed as beds

from boxfleet.testing import fleet as fleets
from boxfleet.testing import hosts, tools

pytestmark = pytest.mark.machine
_SCRIPT = fleets.REPOSITORY / "examples" / "node-pool" / "netns"


@pytest.fixture
def bed() -> Iterator[hosts.Bed]:
    made = hosts.Bed(1)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_machines_of_a_script_come_and_go(bed: hosts.Bed) -> None:
    place = bed.folder / "m"
    scripts = bed.server.folder / "s" / "providers.d"
    scripts.mkdir()
    shutil.copy(_SCRIPT, scripts / "netns")
    pool = {
        "apiVersion": "boxfleet.dev/v1",
        "kind": "NodePool",
        "metadata": {"name": "small"},
        "spec": {
            "provider": {
                "type": "script",
                "script": "netns",
                "settings": {
                    "folder": str(place),
                    "boxfleet": str(fleets.REPOSITORY / ".venv" / "bin" / "boxfleet"),
                },
            },
            "template": {"resources": {"cpu": "1", "memory": "256Mi"}, "labels": {"of": "pool"}},
            "max": 1,
            "scaleDown": {"unneededSeconds": 1},
        },
    }
    try:
        bed.kubectl("apply", "-f", "-", stdin=json.dumps(pool))
        box = beds.box("fit", beds.SLEEPER, replicas=1, more=_on_pool())
        bed.kubectl("apply", "-f", "-", stdin=box)
        fleets.eventually(lambda: any(place.glob("*/machine.json")), within=60, what="a machine is being made")
        # Whoever asked for it forgets that it did, but for what it wrote down.
        os.kill(bed.server.process("server"), signal.SIGKILL)
        fleets.eventually(lambda: _ready(bed) == "1/1", within=150, what="a machine has joined")
        assert len(list(place.glob("*/machine.json"))) == 1
        (name,) = [each["metadata"]["name"] for each in bed.get("nodes")["items"] if each["metadata"]["name"] != "h0"]
        assert name.startswith("small-")
        archive = place / "tools.tar"
        archive.write_bytes(tools.archive())
        socket = place / name / "r" / "containerd.sock"
        words = ["ctr", "--address", str(socket), "--namespace", "k8s.io", "images", "import", str(archive)]
        subprocess.run(words, check=True, capture_output=True)
        fleets.eventually(lambda: beds.ready(bed, "fit") == {"fit-web-0": name}, within=90, what="it runs there")
        beds.remove(bed, "fit")
        fleets.eventually(lambda: _ready(bed) == "0/0", within=150, what="the host is gone")
        assert [each["metadata"]["name"] for each in bed.get("nodes")["items"]] == ["h0"]
        assert [one.name for one in place.iterdir() if one.is_dir()] == []
        assert _left(place) == []
    finally:
        bed.kubectl("delete", "nodepool", "small", "--timeout=120s", "--ignore-not-found", check=False)


def _on_pool() -> dict[str, object]:
    container = {"name": "main", "image": tools.IMAGE, "command": beds.SLEEPER}
    spec = {"terminationGracePeriodSeconds": 1, "nodeSelector": {"of": "pool"}, "containers": [container]}
    return {"template": {"spec": spec}}


def _ready(bed: hosts.Bed) -> str:
    """As `kubectl get nodepools` shows it."""
    said = bed.kubectl("get", "nodepools", "--no-headers", check=False).split()
    return said[2] if len(said) > 2 else ""


def _left(place: pathlib.Path) -> list[str]:
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = path.joinpath("cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if f"{place}/" in words:
            found.append(words)
    return found
