"""What s6 and systemd are given."""

import pathlib
import shutil
import subprocess
import time
from collections.abc import Callable

import pytest

from boxfleet.app import paths, supervision, systemd


@pytest.fixture
def where(tmp_path: pathlib.Path) -> paths.Paths:
    return paths.Paths(tmp_path / "state", tmp_path / "run")


def test_service_folders_say_what_to_run_and_where_to_log(where: paths.Paths) -> None:
    command = ["/opt/it's here/python", "-m", "boxfleet"]
    assert supervision.write(where, {"server": command}, environment={"A": "b c"}) == {"server"}
    script = where.services / "server" / "run"
    assert script.stat().st_mode & 0o111
    assert subprocess.run(["sh", "-n", str(script)], check=True).returncode == 0
    assert script.read_text().splitlines()[2:] == ["export A='b c'", "exec '/opt/it'\"'\"'s here/python' -m boxfleet"]
    assert str(where.logs / "server") in (where.services / "server" / "log" / "run").read_text()


def test_nothing_below_run_is_executed_itself(where: paths.Paths) -> None:
    # systemd mounts /run with noexec.
    supervision.write(where, {"server": ["true"]}, environment={})
    for script in ("run", "log/run"):
        assert (where.services / "server" / script).resolve().is_relative_to(where.state.resolve())
    supervision.write(where, {"server": ["true"]}, environment={})
    assert {path.name for path in (where.services / "server").iterdir()} == {"run", "log", "timeout-kill"}


def test_only_changed_services_are_named(where: paths.Paths) -> None:
    services = {"server": ["true"], "agent": ["true"]}
    supervision.write(where, services, environment={})
    assert supervision.write(where, services, environment={}) == set()
    assert supervision.write(where, services | {"agent": ["false"]}, environment={}) == {"agent"}


@pytest.mark.skipif(shutil.which("s6-supervise") is None, reason="no s6")
def test_what_ends_again_and_again_is_told_from_what_was_stopped(where: paths.Paths) -> None:
    supervision.write(where, {"bad": ["false"], "good": ["sleep", "60"]}, environment={})
    assert [each.supervised for each in supervision.states(where)] == [False, False]
    folders = [where.services / name for name in ("bad", "good")]
    watchers = [subprocess.Popen(["s6-supervise", str(folder)]) for folder in folders]
    try:
        _until(lambda: all(supervision.is_supervised(where, folder.name) for folder in folders))
        for _ in range(4):
            _until(lambda: supervision.states(where)[1].up)
            supervision.bring_up(where, "good", restart=True)
        _until(lambda: supervision.states(where)[0].crashing)
        assert not supervision.states(where)[1].crashing
        assert not supervision.is_running(where)
    finally:
        for folder in folders:
            subprocess.run(["s6-svc", "-xd", str(folder)], check=False)
        for watcher in watchers:
            watcher.wait()


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_each_boxfleet_has_a_unit_of_its_own(where: paths.Paths) -> None:
    usual = paths.Paths(pathlib.Path("/var/lib/boxfleet"), pathlib.Path("/run/boxfleet"))
    assert systemd.unit_name(usual) == "boxfleet.service"
    assert systemd.unit_name(where) != systemd.unit_name(usual)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_systemd_accepts_the_unit(tmp_path: pathlib.Path) -> None:
    unit = tmp_path / "boxfleet.service"
    unit.write_text(systemd.unit_text(["/bin/sh", "-c", "echo 50% $HOME"]))
    answer = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    complaints = [line for line in answer.stderr.splitlines() if str(unit) in line or unit.name in line]
    assert complaints == []
