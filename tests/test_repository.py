"""Rules of the repository itself."""

import ast
import pathlib
import re
import subprocess
import tomllib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
SOURCE = ROOT / "src" / "boxfleet"
# What no committed file may name: hosts of package indexes other than in prose about the public one.
URL = re.compile(r"[a-z]+://", re.IGNORECASE)


def packages() -> list[pathlib.Path]:
    return sorted(SOURCE.rglob("__init__.py"))


@pytest.mark.parametrize("path", packages(), ids=lambda path: str(path.parent.relative_to(SOURCE.parent)))
def test_every_package_has_a_charter(path: pathlib.Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text()))
    assert text, f"{path} needs a docstring that says what belongs there"
    # The whole is described in ARCHITECTURE.md.
    if path.parent != SOURCE:
        assert "Belongs here:" in text and "Does not:" in text, path


def test_there_are_only_the_rooms_that_the_contract_orders() -> None:
    contract = (ROOT / ".importlinter").read_text()
    rooms = {path.parent.name for path in packages() if path.parent.parent == SOURCE}
    assert rooms == {room for room in rooms if re.search(rf"boxfleet\.{room}\b", contract)}


def test_there_is_no_drawer_for_everything() -> None:
    assert [path for path in SOURCE.rglob("*.py") if path.stem in ("utils", "util", "helpers", "common", "misc")] == []


def test_files_are_small() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in SOURCE.rglob("*.py")
        if not path.name.endswith("_pb2.py") and (count := len(path.read_text().splitlines())) > 800
    }
    assert long == {}


def test_nothing_is_left_for_later() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
    assert [str(path) for path in SOURCE.rglob("*.py") if marks.search(path.read_text())] == []


def test_the_lock_pins_everything_by_hash_and_names_no_server() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert [line for line in lines if URL.search(line) or line.startswith("-")] == []
    wanted = [line for line in lines if line and not line.startswith((" ", "#"))]
    assert wanted and all("==" in line and line.endswith("\\") for line in wanted)


def test_the_lock_has_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = {line.split("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line}
    named = {re.split(r"[^A-Za-z0-9-]", each)[0] for each in project["dependencies"]}
    named |= {re.split(r"[^A-Za-z0-9-]", each)[0] for each in project["optional-dependencies"]["dev"]}
    assert named - locked == set()


@pytest.mark.parametrize("script", ["run", ".ci/run", "src/boxfleet/app/remove_packages.sh"])
def test_shell_scripts_parse(script: str) -> None:
    subprocess.run(["sh", "-n", str(ROOT / script)], check=True)


def test_run_explains_itself() -> None:
    said = subprocess.run([str(ROOT / "run"), "help"], capture_output=True, text=True, check=True).stdout
    for command in ("up", "down", "test", "check", "bench"):
        assert re.search(rf"^  {command}\b", said, re.MULTILINE), command
    assert subprocess.run([str(ROOT / "run"), "nonsense"], capture_output=True, check=False).returncode == 2
