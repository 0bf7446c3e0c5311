"""The main job: one command, WordPress on MariaDB, and identities that outlive everything."""

import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from boxfleet.testing import fleet as fleets

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def site_of(output: str) -> str:
    match = re.search(r"^site: (\S+)", output, re.MULTILINE)
    assert match, output
    return match.group(1)


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def test_up_prints_the_ways_in(first_up: str, fleet_home: fleets.Fleet) -> None:
    assert f"kubeconfig: {fleet_home.kubeconfig}" in first_up
    assert site_of(first_up).startswith("http://")
    assert oct(fleet_home.kubeconfig.stat().st_mode)[-3:] == "600"


def test_the_site_is_wordpress(fleet: fleets.Fleet, first_up: str) -> None:
    page = fetch(site_of(first_up) + "wp-admin/install.php")
    assert "WordPress" in page
    # With a broken database WordPress shows an error page here instead.
    assert "error establishing" not in page.lower()


def test_up_again_is_harmless(fleet: fleets.Fleet, first_up: str) -> None:
    before = fleet.identities()
    restarts = {pod["metadata"]["uid"] for pod in fleet.get("pods")["items"]}
    again = fleet.run("up").stdout
    assert site_of(again) == site_of(first_up)
    assert fleet.identities() == before
    assert {pod["metadata"]["uid"] for pod in fleet.get("pods")["items"]} == restarts


def test_status_and_tree(fleet: fleets.Fleet) -> None:
    assert "wordpress" in fleet.boxfleet("status").stdout
    tree = fleet.boxfleet("tree").stdout
    for name in ("wordpress", "wordpress-db-0", "wordpress-web-0"):
        assert name in tree
    assert fleet.identities()["wordpress-db-0"][0] in tree


def database(fleet: fleets.Fleet) -> dict[str, Any]:
    return fleet.get("pod", "wordpress-db-0")


def delete_pod(fleet: fleets.Fleet) -> None:
    old = database(fleet)["metadata"]["uid"]
    fleet.kubectl("delete", "pod", "wordpress-db-0")
    fleets.eventually(lambda: database(fleet)["metadata"]["uid"] != old, within=30, what="a new pod")


def kill_main_process(fleet: fleets.Fleet) -> None:
    def restarts() -> int:
        return int(database(fleet)["status"]["containerStatuses"][0]["restartCount"])

    before, identity = restarts(), database(fleet)["metadata"]["uid"]
    fleet.kubectl("exec", "wordpress-db-0", "--", "sh", "-c", "kill -TERM 1", check=False)
    fleets.eventually(lambda: restarts() == before + 1, within=30, what="a restart")
    assert database(fleet)["metadata"]["uid"] == identity


def kill(role: str) -> Callable[[fleets.Fleet], None]:
    def break_it(fleet: fleets.Fleet) -> None:
        pid = fleet.process(role)
        identity = database(fleet)["metadata"]["uid"]
        os.kill(pid, signal.SIGKILL)
        fleets.eventually(lambda: fleet.process(role) != pid, within=30, what=f"a new {role}")
        same = fleets.eventually(lambda: database(fleet)["metadata"]["uid"], within=30, what="the API")
        assert same == identity

    return break_it


BREAKS = {
    "pod deleted": delete_pod,
    "main process killed": kill_main_process,
    "agent killed": kill("agent"),
    "server killed": kill("server"),
    "containerd killed": kill("containerd"),
}


@pytest.mark.parametrize("what", BREAKS)
def test_identity_and_data_outlive(fleet: fleets.Fleet, first_up: str, what: str) -> None:
    before = fleet.identities()
    note = f"kept through {what}"
    fleet.kubectl(
        "exec", "wordpress-db-0", "-c", "mariadb", "--", "sh", "-c", f"echo '{note}' > /var/lib/mysql/.note; sync"
    )
    BREAKS[what](fleet)
    fleets.eventually(
        lambda: fleet.kubectl("wait", "--for=condition=Ready", "box/wordpress", "--timeout=60s"),
        within=90,
        what="WordPress Ready again",
    )
    fleets.eventually(
        lambda: "WordPress" in fetch(site_of(first_up) + "wp-admin/install.php"), within=60, what="the site"
    )
    assert fleet.identities() == before
    said = fleets.eventually(
        lambda: fleet.kubectl("exec", "wordpress-db-0", "-c", "mariadb", "--", "cat", "/var/lib/mysql/.note").stdout,
        within=30,
        what="the note",
    )
    assert note in said
    address, domain = before["wordpress-db-0"]
    answer = subprocess.run(
        ["dig", "+short", domain, "@10.97.0.1"], capture_output=True, text=True, check=True, timeout=10
    )
    assert answer.stdout.strip() == address


def test_instances_serve_and_restart_with_the_server_stopped(fleet: fleets.Fleet, first_up: str) -> None:
    service = fleet.run_directory / "services" / "server"
    before = database(fleet)["status"]["containerStatuses"][0]["restartCount"]
    [(pid, _)] = [found for found in fleets.processes(marks=("mariadbd",)) if fleet.holds(found[0])]
    subprocess.run(["s6-svc", "-wD", "-d", str(service)], check=True, timeout=30)
    try:
        os.kill(pid, signal.SIGKILL)
        fleets.eventually(
            lambda: "WordPress" in fetch(site_of(first_up) + "wp-admin/install.php"), within=60, what="the site"
        )
        assert fleet.kubectl("get", "nodes", check=False).returncode != 0
    finally:
        subprocess.run(["s6-svc", "-u", str(service)], check=True)
    fleets.eventually(
        lambda: database(fleet)["status"]["containerStatuses"][0]["restartCount"] == before + 1,
        within=60,
        what="the restart is told",
    )
