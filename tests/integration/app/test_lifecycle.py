"""A whole Boxfleet by its command line: up, status, tree, image, down, purge, and being killed in the middle."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import pytest

from boxfleet.testing import fleet as fleets
from boxfleet.testing import tools

pytestmark = [pytest.mark.machine, pytest.mark.timeout(240)]

BOX = """
apiVersion: v1
kind: Secret
metadata:
  name: made
  annotations: {boxfleet.dev/generate: password}
---
apiVersion: boxfleet.dev/v1
kind: Box
metadata: {name: small}
spec:
  units:
    web:
      replicas: 2
      dependsOn: [{unit: base}]
      template:
        spec:
          terminationGracePeriodSeconds: 1
          containers: [{name: main, image: "IMAGE", command: COMMAND, ports: [{name: http, containerPort: 8080}]}]
    base:
      template:
        spec:
          terminationGracePeriodSeconds: 1
          containers: [{name: main, image: "IMAGE", command: [sleep, "100000"]}]
""".replace("IMAGE", tools.IMAGE).replace("COMMAND", json.dumps(tools.server(8080)))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Command(fleets.Fleet):
    """The command as this interpreter runs it."""

    @property
    def words(self) -> list[str]:
        return [sys.executable, "-m", "boxfleet"]

    def boxfleet(self, *words: str, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return self._call([*self.words, *words], check=check, timeout=timeout)

    def kill_during(self, *words: str, after: float) -> None:
        """Run the command and kill it with SIGKILL after some seconds."""
        environment = {**os.environ, **self.environment}
        process = subprocess.Popen(
            [*self.words, *words], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(after)
        process.kill()
        process.wait()

    def service(self, name: str) -> int:
        """The process of a service; 0 when it is down."""
        folder = str(self.run_directory / "services" / name)
        said = subprocess.run(["s6-svstat", "-o", "up,pid", folder], capture_output=True, text=True, check=False).stdout
        return int(said.split()[1]) if said.startswith("true") else 0


@pytest.fixture
def machine() -> Iterator[Command]:
    """A Boxfleet of its own; the machine must be the same before and after."""
    home = pathlib.Path(tempfile.mkdtemp(prefix="bf-app-", dir="/tmp"))
    made = Command(
        environment={
            "BOXFLEET_STATE": str(home / "state"),
            "BOXFLEET_RUN": str(home / "run"),
            "BOXFLEET_PORT": str(free_port()),
            "BOXFLEET_BRIDGE": "bfapp1",
            "BOXFLEET_CIDR": "10.211.0.0/16",
            "BOXFLEET_CGROUP_PARENT": "/bf-app-test",
        },
        state=home / "state",
        run_directory=home / "run",
    )
    before = footprint(made)
    try:
        yield made
    finally:
        made.boxfleet("down", "--purge")
        left = sorted(str(path) for path in home.rglob("*"))
        shutil.rmtree(home, ignore_errors=True)
    assert left == []
    assert footprint(made) == before


def footprint(machine: Command) -> dict[str, object]:
    """What is ours on this machine; other tests may run beside."""
    whole = fleets.Footprint.take(marks=machine.marks)
    return {
        "bridge": "bfapp1" in whole.links,
        "mounts": whole.mounts,
        "cgroups": [str(path) for path in pathlib.Path("/sys/fs/cgroup").glob("**/bf-app-test*")],
        "rules": "10.211." in whole.rules or "bfapp1" in whole.rules,
        "processes": whole.processes,
        "link": os.path.lexists("/usr/local/bin/boxfleet"),
    }


def status(machine: Command) -> dict[str, str]:
    """The level of each part."""
    said = json.loads(machine.boxfleet("status", "-o", "json", check=False).stdout)
    return {f"{part['kind']} {part['name']}".strip(): part["level"] for part in said["parts"]}


def import_tools(machine: Command, folder: pathlib.Path) -> None:
    archive = folder / "tools.tar"
    archive.write_bytes(tools.archive())
    assert tools.IMAGE in machine.boxfleet("image", "import", str(archive)).stdout


def speaks_from_inside(machine: Command, folder: pathlib.Path) -> str:
    """Who an instance is to the API, with what it is given and told, from where it is."""
    mounted = "/var/run/secrets/kubernetes.io/serviceaccount"

    def ask(command: str) -> str:
        return machine.kubectl("exec", "small-web-0", "--", "/bin/sh", "-c", command).stdout

    authority = folder / "inside.crt"
    authority.write_text(ask(f"cat {mounted}/ca.crt"))
    url = ask("echo https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT").strip()
    pid = next(
        path.parent.name
        for path in pathlib.Path("/proc").glob("[0-9]*/environ")
        if b"HOSTNAME=small-web-0" in _read(path).split(b"\0")
    )
    way = ["--server", url, "--certificate-authority", str(authority), "--token", ask(f"cat {mounted}/token")]
    return subprocess.run(
        ["nsenter", f"--net=/proc/{pid}/ns/net", "kubectl", "--kubeconfig", "/dev/null", *way, "auth", "whoami"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def _read(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_up_deliver_down_and_up_again(machine: Command, tmp_path: pathlib.Path) -> None:
    first = machine.boxfleet("up")
    assert "admin token" in first.stdout and f"kubeconfig: {machine.kubeconfig}" in first.stdout
    again = machine.boxfleet("up")
    assert "admin token" not in again.stdout and "restarting" not in again.stdout
    fleets.eventually(lambda: set(status(machine).values()) == {"well"}, within=60, what="all well")
    assert "Ready" in machine.kubectl("get", "nodes").stdout

    import_tools(machine, tmp_path)
    assert tools.IMAGE in machine.boxfleet("image", "list").stdout
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(BOX.replace("replicas: 2", "replica: 2").replace("unit: base", "unit: bass"))
    refused = machine.boxfleet("up", str(wrong), check=False)
    assert refused.returncode == 1
    assert "replica" in refused.stderr
    assert machine.kubectl("get", "boxes,secrets", "-o", "name").stdout == ""

    file = tmp_path / "box.yaml"
    file.write_text(BOX)
    done = machine.boxfleet("up", str(file))
    assert "box default/small created" in done.stdout and "site: http://10.211.0." in done.stdout
    password = machine.get("secret", "made")["data"]["password"]
    addresses = machine.identities()
    assert set(addresses) == {"small-base-0", "small-web-0", "small-web-1"}
    tree = json.loads(machine.boxfleet("tree", "-o", "json").stdout)
    assert [(unit["name"], unit["ready"]) for unit in tree[0]["units"]] == [("small-base", 1), ("small-web", 2)]

    assert "system:serviceaccount:default:default" in speaks_from_inside(machine, tmp_path)

    unchanged = machine.boxfleet("up", str(file)).stdout
    assert "box default/small unchanged" in unchanged and "created" not in unchanged

    machine.boxfleet("down")
    assert fleets.processes(marks=machine.marks) == []
    assert machine.boxfleet("status", check=False).returncode == 1
    assert "created" not in machine.boxfleet("up", str(file)).stdout
    assert machine.identities() == addresses
    (main,) = machine.get("pod", "small-base-0")["status"]["containerStatuses"]
    # It does not listen to SIGTERM.
    assert (main["restartCount"], main["lastState"]["terminated"]["exitCode"]) == (1, 137)
    assert main["lastState"]["terminated"]["reason"] == "Error" and main["lastState"]["terminated"]["finishedAt"]
    assert machine.get("secret", "made")["data"]["password"] == password
    fleets.eventually(lambda: set(status(machine).values()) == {"well"}, within=60, what="all well")


def test_a_deleted_node_comes_back_by_up_with_what_runs(machine: Command, tmp_path: pathlib.Path) -> None:
    machine.boxfleet("up")
    import_tools(machine, tmp_path)
    file = tmp_path / "box.yaml"
    file.write_text(BOX)
    machine.boxfleet("up", str(file))
    addresses = machine.identities()
    machine.kubectl("delete", "node", "--all")
    said = machine.boxfleet("status", check=False)
    assert said.returncode == 1 and "boxfleet up" in said.stdout
    again = machine.boxfleet("up").stdout
    assert "restarting the agent: node" in again
    fleets.eventually(lambda: set(status(machine).values()) == {"well"}, within=60, what="all well")
    # It was back before its Pods were given up.
    assert machine.identities() == addresses
    (main,) = machine.get("pod", "small-base-0")["status"]["containerStatuses"]
    assert main["restartCount"] == 0


def test_what_does_not_become_ready_is_told_with_reason_and_advice(machine: Command, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "box.yaml"
    file.write_text(BOX.replace(tools.IMAGE, "boxfleet.local/nowhere:1"))
    machine.boxfleet("up")
    failed = machine.boxfleet("up", "--timeout", "5", str(file), check=False)
    assert failed.returncode == 1
    assert "not everything is Ready after 5 s" in failed.stdout
    assert "ErrImageNeverPull" in failed.stdout and "boxfleet image build" in failed.stdout
    said = machine.boxfleet("status", check=False)
    assert said.returncode == 1 and "boxfleet image build" in said.stdout
    delivered = machine.boxfleet("up", "--no-wait", "-o", "json", str(file))
    answer = json.loads(delivered.stdout)
    assert (answer["ready"], [part["level"] for part in answer["parts"]]) == (False, ["not well"])
    machine.kubectl("delete", "box/small")


def test_killed_services_come_back_and_a_killed_supervisor_is_replaced(machine: Command) -> None:
    machine.boxfleet("up")
    for name in ("server", "agent"):
        old = machine.service(name)
        os.kill(old, signal.SIGKILL)
        fleets.eventually(lambda name=name, old=old: machine.service(name) not in (0, old), within=10, what=name)
    fleets.eventually(lambda: set(status(machine).values()) == {"well"}, within=60, what="all well")
    for pid, line in fleets.processes(marks=(str(machine.run_directory / "services"),)):
        if "s6-svscan" in line:
            os.kill(pid, signal.SIGKILL)
    fleets.eventually(lambda: status(machine).get("s6-svscan") == "not well", within=10, what="nobody watches")
    for name in ("server", "agent"):
        for supervisor in supervisors(machine, name):
            os.kill(supervisor, signal.SIGKILL)
    machine.boxfleet("up")
    fleets.eventually(lambda: set(status(machine).values()) == {"well"}, within=60, what="all well")
    for role in ("server", "agent"):
        assert machine.process(role) == machine.service(role)


def test_supervisors_that_outlived_theirs_are_replaced(machine: Command) -> None:
    machine.boxfleet("up")
    old = {name: supervisors(machine, name) for name in ("server", "agent")}
    for pid, line in fleets.processes(marks=(str(machine.run_directory / "services"),)):
        if "s6-svscan" in line:
            os.kill(pid, signal.SIGKILL)
    machine.boxfleet("up")
    fleets.eventually(lambda: set(status(machine).values()) == {"well"}, within=60, what="all well")
    for name, before in old.items():
        now = supervisors(machine, name)
        assert len(now) == 1
        assert now != before


def supervisors(machine: Command, name: str) -> list[int]:
    """The s6-supervise processes of a service."""
    folder = str(machine.run_directory / "services")
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            here = str((path / "cwd").readlink())
        except OSError:
            continue
        if words[:2] == [b"s6-supervise", name.encode()] and here.startswith(folder):
            found.append(int(path.name))
    return found


def test_a_purge_without_the_state_folder_takes_what_bears_its_names(machine: Command, tmp_path: pathlib.Path) -> None:
    machine.boxfleet("up")
    import_tools(machine, tmp_path)
    file = tmp_path / "box.yaml"
    file.write_text(BOX)
    machine.boxfleet("up", str(file))
    gone = machine.state.rename(machine.state.with_name("gone"))
    # The fixture looks for what is left of bridge, rules, mounts and processes.
    said = machine.boxfleet("down", "--purge")
    # Nothing is mounted in it any more.
    shutil.rmtree(gone)
    assert f"there is nothing in {machine.state}" in said.stdout and f"was moved to {gone}" in said.stdout
    assert "bfapp1" not in fleets.Footprint.take(marks=machine.marks).links


@pytest.mark.parametrize("seconds", [0.4, 0.9, 1.6])
def test_up_and_down_killed_in_the_middle_converge(machine: Command, tmp_path: pathlib.Path, seconds: float) -> None:
    machine.kill_during("up", after=seconds)
    machine.boxfleet("up")
    import_tools(machine, tmp_path)
    file = tmp_path / "box.yaml"
    file.write_text(BOX)
    machine.boxfleet("up", str(file))
    addresses = machine.identities()
    machine.kill_during("down", after=seconds)
    machine.boxfleet("up", str(file))
    assert machine.identities() == addresses
    # Nobody knows how far the killed `down` came: what it stopped may have been taken for running at first.
    fleets.eventually(lambda: set(status(machine).values()) == {"well"}, within=60, what="all well")
    # The fixture purges what is left of this one.
    machine.kill_during("down", "--purge", after=seconds)


def test_what_was_fixed_is_refused_and_a_new_port_is_served(machine: Command) -> None:
    machine.boxfleet("up")
    refused = machine.boxfleet("up", "--cidr", "10.212.0.0/16", check=False)
    assert refused.returncode == 1
    assert "cidr is 10.211.0.0/16 since the first start and cannot become 10.212.0.0/16" in refused.stderr
    port = str(free_port())
    said = machine.boxfleet("up", "--port", port, "--listen", "127.0.0.2")
    assert f"boxfleet runs on https://127.0.0.2:{port}" in said.stdout
    # The certificate speaks for the new address, and the old one is not served any more.
    assert "Ready" in machine.kubectl("get", "nodes").stdout
    old = machine.kubectl(
        "get", "nodes", "--server", f"https://127.0.0.1:{machine.environment['BOXFLEET_PORT']}", check=False
    )
    assert "refused" in old.stderr
    with socket.socket() as taken:
        taken.bind(("127.0.0.2", 0))
        taken.listen()
        busy = machine.boxfleet("up", "--port", str(taken.getsockname()[1]), "--listen", "127.0.0.2", check=False)
    assert busy.returncode == 1 and "Address already in use" in busy.stderr
    away = machine.boxfleet("up", "--listen", "203.0.113.77", check=False)
    assert away.returncode == 1 and "boxfleet up --listen ADDRESS" in away.stderr
    assert "Ready" in machine.kubectl("get", "nodes").stdout
    # Who stops it does not need its settings; the fixture's purge does without them as well.
    (machine.state / "settings.yaml").write_text("port: [")
    assert "settings.yaml" in machine.boxfleet("up", check=False).stderr
    assert "ignored: cannot read" in machine.boxfleet("down").stdout
    assert fleets.processes(marks=machine.marks) == []


def test_up_that_waits_ends_when_boxfleet_is_stopped(machine: Command, tmp_path: pathlib.Path) -> None:
    machine.boxfleet("up")
    file = tmp_path / "box.yaml"
    file.write_text(BOX.replace(tools.IMAGE, "boxfleet.local/nowhere:1"))
    waiting = subprocess.Popen(
        [*machine.words, "up", str(file)],
        env={**os.environ, **machine.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    fleets.eventually(
        lambda: machine.kubectl("get", "box/small", check=False).returncode == 0, within=30, what="the Box is delivered"
    )
    machine.boxfleet("down")
    said, _ = waiting.communicate(timeout=10)
    assert waiting.returncode == 1
    assert "Boxfleet is being stopped, or was, by another command" in said
