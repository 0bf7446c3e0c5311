"""Every kubectl verb that operators use, against the real thing."""

import json
import os
import pathlib
import pty
import subprocess
import time

import pytest

from boxfleet.testing import fleet as fleets

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

TINY = """
apiVersion: boxfleet.dev/v1
kind: Box
metadata: {name: tiny, namespace: default}
spec:
  units:
    one:
      template:
        spec:
          terminationGracePeriodSeconds: 1
          containers:
          - name: main
            image: boxfleet.local/busybox:1
            command: [sh, -c, 'echo started; trap exit TERM; while :; do sleep 1; done']
"""


@pytest.fixture
def tiny(fleet: fleets.Fleet):
    """A Box of one small instance."""
    fleet.kubectl("apply", "-f", "-", stdin=TINY)
    fleet.kubectl("wait", "--for=condition=Ready", "box/tiny", "--timeout=60s")
    yield fleet
    fleet.kubectl("delete", "box/tiny", "--ignore-not-found", "--wait")
    fleets.eventually(
        lambda: not [n for n in fleet.identities() if n.startswith("tiny-")], within=30, what="addresses released"
    )


def test_get_all_kinds(fleet: fleets.Fleet) -> None:
    table = fleet.kubectl("get", "boxes,units,pods,nodes,addresses", "-A").stdout
    for expected in ("box.boxfleet.dev/wordpress", "unit.boxfleet.dev/wordpress-db", "pod/wordpress-web-0", "node/"):
        assert expected in table
    assert "2/2" in table


def test_describe_tells_events(fleet: fleets.Fleet) -> None:
    pod = fleet.kubectl("describe", "pod", "wordpress-web-0").stdout
    assert "Scheduled" in pod
    assert "Started" in pod
    assert "Allocatable" in fleet.kubectl("describe", "node").stdout
    assert "Ready" in fleet.kubectl("describe", "box", "wordpress").stdout


def test_get_yaml_and_back(tiny: fleets.Fleet) -> None:
    text = tiny.kubectl("get", "box", "tiny", "-o", "yaml").stdout
    assert "configured" in (out := tiny.kubectl("apply", "-f", "-", stdin=text).stdout) or "unchanged" in out


def test_watch_shows_changes(tiny: fleets.Fleet) -> None:
    command = ["kubectl", "--kubeconfig", str(tiny.kubeconfig), "get", "pods", "-w", "-o", "name"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout is not None
        try:
            seen = {watcher.stdout.readline().strip() for _ in range(3)}
            assert "pod/tiny-one-0" in seen
            tiny.kubectl("label", "pod", "tiny-one-0", "watched=yes")
            assert watcher.stdout.readline().strip() == "pod/tiny-one-0"
        finally:
            watcher.kill()


def test_apply_again_after_an_edit(tiny: fleets.Fleet) -> None:
    edited = TINY.replace("echo started", "echo restarted")
    assert "configured" in tiny.kubectl("apply", "-f", "-", stdin=edited).stdout
    fleets.eventually(
        lambda: tiny.kubectl("logs", "tiny-one-0").stdout.strip() == "restarted", within=60, what="the new template"
    )
    assert "unchanged" in tiny.kubectl("apply", "-f", "-", stdin=edited).stdout


def test_patch_and_label(tiny: fleets.Fleet) -> None:
    tiny.kubectl("label", "box/tiny", "colour=blue")
    assert "tiny" in tiny.kubectl("get", "boxes", "-l", "colour=blue", "-o", "name").stdout
    tiny.kubectl("patch", "box/tiny", "--type=merge", "-p", '{"metadata":{"annotations":{"note":"x"}}}')
    assert tiny.get("box", "tiny")["metadata"]["annotations"]["note"] == "x"
    tiny.kubectl("patch", "pod/tiny-one-0", "-p", '{"metadata":{"labels":{"extra":"1"}}}')
    tiny.kubectl("patch", "box/tiny", "--type=json", "-p", '[{"op":"remove","path":"/metadata/labels/colour"}]')
    assert "colour" not in tiny.get("box", "tiny")["metadata"].get("labels", {})


def test_explain(fleet: fleets.Fleet) -> None:
    text = fleet.kubectl("explain", "box.spec.units").stdout
    assert "dependsOn" in text
    assert "replicas" in text
    assert "livenessProbe" in fleet.kubectl("explain", "pod.spec.containers").stdout


def test_logs_follow_and_previous(tiny: fleets.Fleet) -> None:
    assert tiny.kubectl("logs", "tiny-one-0").stdout == "started\n"
    command = ["kubectl", "--kubeconfig", str(tiny.kubeconfig), "logs", "-f", "tiny-one-0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline() == "started\n"
        tiny.kubectl("exec", "tiny-one-0", "--", "sh", "-c", "echo said > /proc/1/fd/1")
        assert follower.stdout.readline() == "said\n"
        follower.kill()
    tiny.kubectl("exec", "tiny-one-0", "--", "sh", "-c", "kill -9 1; kill -TERM 1")
    fleets.eventually(
        lambda: tiny.get("pod", "tiny-one-0")["status"]["containerStatuses"][0]["restartCount"] == 1,
        within=30,
        what="restarted",
    )
    assert "said" in tiny.kubectl("logs", "--previous", "tiny-one-0").stdout


def test_exec_on_a_terminal(tiny: fleets.Fleet) -> None:
    controller, terminal = pty.openpty()
    command = [
        "kubectl",
        "--kubeconfig",
        str(tiny.kubeconfig),
        "exec",
        "-it",
        "tiny-one-0",
        "--",
        "sh",
        "-c",
        "tty; read x; echo got $x",
    ]
    with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, close_fds=True) as shell:
        os.close(terminal)
        said = b""
        deadline = time.monotonic() + 30
        while b"/dev/pts" not in said and time.monotonic() < deadline:
            said += os.read(controller, 4096)
        os.write(controller, b"hello\n")
        while b"got hello" not in said and time.monotonic() < deadline:
            said += os.read(controller, 4096)
        assert shell.wait(30) == 0
    os.close(controller)
    assert b"got hello" in said


def test_exec_streams_and_exit_codes(tiny: fleets.Fleet) -> None:
    assert tiny.kubectl("exec", "-i", "tiny-one-0", "--", "cat", stdin="through\n").stdout == "through\n"
    failed = tiny.kubectl("exec", "tiny-one-0", "--", "sh", "-c", "echo wrong >&2; exit 7", check=False)
    assert failed.returncode == 7
    assert "wrong" in failed.stderr


def test_scale(tiny: fleets.Fleet) -> None:
    tiny.kubectl("patch", "box/tiny", "--type=merge", "-p", '{"spec":{"units":{"one":{"replicas":2}}}}')
    tiny.kubectl("wait", "--for=jsonpath={.status.readyReplicas}=2", "unit/tiny-one", "--timeout=30s")
    two = tiny.identities()
    tiny.kubectl("scale", "unit/tiny-one", "--replicas=3")
    tiny.kubectl("wait", "--for=jsonpath={.status.readyReplicas}=3", "unit/tiny-one", "--timeout=30s")
    three = tiny.identities()
    assert {name: three[name] for name in two} == two
    assert "tiny-one-2" in three


def test_delete_removes_all(tiny: fleets.Fleet) -> None:
    tiny.kubectl("delete", "box/tiny")
    fleets.eventually(
        lambda: "tiny" not in tiny.kubectl("get", "units,pods", "-o", "name").stdout, within=30, what="all gone"
    )


def test_port_forward_free_names_in_status(fleet: fleets.Fleet, tmp_path: pathlib.Path) -> None:
    node = fleet.get("nodes")["items"][0]
    assert {"cpu", "memory", "pods"} <= set(node["status"]["allocatable"])
    assert json.loads(fleet.kubectl("version", "-o", "json").stdout)["serverVersion"]["major"] == "1"
