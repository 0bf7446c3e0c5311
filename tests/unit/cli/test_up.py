"""What `boxfleet up` is asked to deliver, and what it answers."""

import datetime
import pathlib
import subprocess
import sys

import pytest

from boxfleet.app import delivery, manifests, settings
from boxfleet.cli import faults, options, up
from boxfleet.testing import server

MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\n"
REPOSITORY = pathlib.Path(__file__).parents[3]


@pytest.fixture
def two(tmp_path: pathlib.Path) -> tuple[str, str]:
    """A file, and a folder with one more."""
    file, folder = tmp_path / "one.yaml", tmp_path / "more"
    file.write_text(MAP.replace("NAME", "one"))
    folder.mkdir()
    (folder / "two.yaml").write_text(MAP.replace("NAME", "two"))
    return str(file), str(folder)


def test_files_and_folders_are_delivered_together_in_their_order(two: tuple[str, str]) -> None:
    for places in (two, two[::-1]):
        names = [each.name for each in up.read(places, namespace="default").manifests]
        assert names == (["one", "two"] if places == two else ["two", "one"])
    with pytest.raises(manifests.ManifestError, match="there is no nowhere"):
        up.read([*two, "nowhere"], namespace="default")


def test_recipes_that_two_files_share_are_built_once() -> None:
    folder = REPOSITORY / "examples" / "wordpress"
    (file,) = folder.glob("*.yaml")
    once, twice = (up.read(places, namespace="default") for places in ([str(folder)], [str(folder), str(file)]))
    assert once.recipes and len(twice.recipes) == len(once.recipes)


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (["--no-wait", "FILE", "nowhere.yaml"], "nowhere.yaml"),
        (["nowhere.yaml", "--port", "7444"], "nowhere.yaml"),
        (["--port", "7444"], "usual.yaml"),
        ([], "usual.yaml"),
    ],
)
def test_flags_do_not_hide_what_is_named(
    two: tuple[str, str], tmp_path: pathlib.Path, words: list[str], refused: str
) -> None:
    given = [two[0] if word == "FILE" else word for word in words]
    # As `./run up` says it. A file that is not there is refused before anything starts.
    command = [sys.executable, "-m", "boxfleet", "up", "--otherwise", "usual.yaml", *given]
    done = subprocess.run(
        [*command, "--state", str(tmp_path / "state")], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 1 and f"there is no {refused}" in done.stderr
    assert not (tmp_path / "state").exists()


def test_who_joins_gets_nothing_that_he_did_not_name(tmp_path: pathlib.Path) -> None:
    joining = ["--join", "https://127.0.0.1:1", "--authority", "sha256:0", "--token-file", "nowhere.token"]
    done = subprocess.run(
        [sys.executable, "-m", "boxfleet", "up", "--otherwise", "usual.yaml", *joining, "--state", str(tmp_path / "s")],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 1 and "usual.yaml" not in done.stderr


BOX = """
apiVersion: boxfleet.dev/v1
kind: Box
metadata: {name: b}
spec: {units: {x: {template: {spec: {containers: [{name: m, image: boxfleet.local/nowhere:1}]}}}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
"""
NOW = datetime.datetime.now(datetime.UTC)


@pytest.mark.anyio
async def test_who_does_not_wait_is_told_how_it_is(tmp_path: pathlib.Path) -> None:
    (tmp_path / "box.yaml").write_text(BOX)
    bundle = manifests.read(tmp_path / "box.yaml", namespace="default")
    async with server.running(tmp_path / "server") as api:
        await delivery.apply(api.admin, bundle, say=lambda _: None)
        result = await up._look(api.admin, bundle, NOW)
    assert not result.ready and result.sites == []
    assert [(part.kind, part.name, part.level) for part in result.parts] == [("box", "default/b", "waiting")]
    wish = up.Wish(join=None, files=("box.yaml",), namespace="default", timeout=1, wait=False)
    assert up._code(result, wish) == 0
    assert up._code(result, up.Wish(join=None, files=(), namespace="default", timeout=1, wait=True)) == 1


def test_standard_input_is_read_for_one_thing() -> None:
    join = up.Join(url="https://127.0.0.1:1", authority="sha256:0", token_file="-")
    wish = up.Wish(join=join, files=("-",), namespace="default", timeout=1, wait=True)
    with pytest.raises(faults.CommandFailed, match="one thing only"):
        up.run(settings.All(), wish, options.Format.TEXT)


def test_warnings_are_beside_data_and_among_words(capsys: pytest.CaptureFixture[str]) -> None:
    up._warn(["a"], options.Format.JSON)
    up._warn(["b"], options.Format.TEXT)
    assert capsys.readouterr() == ("warning: b\n", "warning: a\n")
