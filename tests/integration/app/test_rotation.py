"""`boxfleet ca rotate` on a whole Boxfleet: an overlap in which old and new both count, then an end of the old."""

import pathlib
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request

from tests.integration.app import test_lifecycle

from boxfleet.testing import fleet as fleets

pytestmark = test_lifecycle.pytestmark
machine = test_lifecycle.machine

Command = test_lifecycle.Command


def kubectl(kubeconfig: pathlib.Path, *words: str) -> subprocess.CompletedProcess[str]:
    """kubectl with a kubeconfig that somebody kept."""
    command = ["kubectl", "--kubeconfig", str(kubeconfig), "--request-timeout=20s", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def containers(machine: Command) -> dict[str, tuple[str, int]]:
    """Which container each instance is, and how often it was started again."""
    return {
        each["metadata"]["name"]: (
            each["status"]["containerStatuses"][0]["containerID"],
            each["status"]["containerStatuses"][0]["restartCount"],
        )
        for each in machine.get("pods")["items"]
    }


def works(kubeconfig: pathlib.Path) -> bool:
    return kubectl(kubeconfig, "get", "--raw", "/readyz").returncode == 0


def is_known(machine: Command, certificate: pathlib.Path) -> bool:
    """Whether a client's certificate opens the API, which is found with the authority of now."""
    context = ssl.create_default_context(cafile=str(machine.state / "pki" / "ca.crt"))
    context.load_cert_chain(certificate)
    url = f"https://127.0.0.1:{machine.environment['BOXFLEET_PORT']}/api/v1/nodes"
    try:
        with urllib.request.urlopen(url, context=context, timeout=20) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        # Known, and without the right to all nodes.
        return error.code == 403
    except (urllib.error.URLError, ssl.SSLError, ConnectionError):
        # The handshake itself was refused.
        return False


def test_a_rotation_of_the_authority(machine: Command, tmp_path: pathlib.Path) -> None:
    machine.boxfleet("up")
    test_lifecycle.import_tools(machine, tmp_path)
    file = tmp_path / "box.yaml"
    file.write_text(test_lifecycle.BOX)
    machine.boxfleet("up", str(file))
    instances = machine.identities()
    assert len(instances) == 3
    running = containers(machine)
    certificate = machine.state / "credentials" / "agent.pem"
    old_config, old_certificate = tmp_path / "old.kubeconfig", tmp_path / "old.pem"
    shutil.copy(machine.kubeconfig, old_config)
    shutil.copy(certificate, old_certificate)
    assert works(old_config) and is_known(machine, old_certificate)

    def agent_is_well() -> bool:
        said = machine.kubectl("get", "nodes", "--no-headers", check=False).stdout
        return " Ready" in said and certificate.read_bytes() != seen and is_known(machine, certificate)

    seen = old_certificate.read_bytes()
    assert "two authorities" in machine.boxfleet("ca", "rotate").stdout
    # Old and new count: kubectl of before, the certificate of before, and the agent with a new one.
    fleets.eventually(lambda: works(old_config), within=60, what="kubectl with the old kubeconfig")
    assert is_known(machine, old_certificate)
    fleets.eventually(agent_is_well, within=90, what="the agent with a new certificate")
    assert "under way" in machine.boxfleet("ca", "rotate", check=False).stderr
    new_config = tmp_path / "new.kubeconfig"
    shutil.copy(machine.kubeconfig, new_config)
    assert new_config.read_bytes() != old_config.read_bytes()

    assert "open nothing" in machine.boxfleet("ca", "rotate", "--finish").stdout
    fleets.eventually(lambda: works(new_config), within=60, what="kubectl with the new kubeconfig")
    # What is new goes on; what is old is refused by the server, and refuses the server.
    assert not works(old_config)
    assert "certificate" in kubectl(old_config, "get", "nodes").stderr
    assert not is_known(machine, old_certificate)
    assert is_known(machine, certificate)
    fleets.eventually(lambda: set(test_lifecycle.status(machine).values()) == {"well"}, within=90, what="all well")
    assert (machine.identities(), containers(machine)) == (instances, running)
    logs = kubectl(new_config, "exec", "small-base-0", "--", "cat", "/proc/1/comm")
    assert logs.stdout.strip() == "sleep", logs.stderr
    assert "no rotation" in machine.boxfleet("ca", "rotate", "--finish", check=False).stderr
