"""Real builds of a tiny image: reproducible, cached, and without leftovers."""

import asyncio
import contextlib
import json
import pathlib
import sys
import tarfile

import pytest

from boxfleet.drivers.mmdebstrap import build, faults

pytestmark = [pytest.mark.machine, pytest.mark.anyio]
RECIPE = pathlib.Path(__file__).parents[3] / "examples" / "busybox" / "images" / "busybox.yaml"


def mounts_below(folder: pathlib.Path) -> list[str]:
    return [line for line in pathlib.Path("/proc/self/mounts").read_text().splitlines() if str(folder) in line]


def commands() -> list[bytes]:
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes())
    return found


def silent(line: str) -> None:
    pass


async def test_the_same_recipe_makes_the_same_image_and_is_built_once(tmp_path):
    told: list[str] = []
    async with asyncio.TaskGroup() as group:
        builds = [
            group.create_task(build.build(RECIPE, cache_dir=tmp_path / "one", progress=told.append)) for _ in range(2)
        ]
    first, again = (task.result() for task in builds)
    assert {first.cached, again.cached} == {True, False}
    other = await build.build(RECIPE, cache_dir=tmp_path / "two", progress=silent)
    assert first.digest == other.digest
    assert pathlib.Path(first.archive_path).read_bytes() == pathlib.Path(other.archive_path).read_bytes()
    assert first.size == pathlib.Path(first.archive_path).stat().st_size
    assert await build.find(RECIPE, cache_dir=tmp_path / "two") is not None
    refreshed = await build.build(RECIPE, cache_dir=tmp_path / "two", progress=told.append, refresh=True)
    assert refreshed.cached
    assert "nothing new in the archives" in told[-1]
    with tarfile.open(first.archive_path) as tar:
        index = json.load(tar.extractfile("index.json"))
    assert index["manifests"][0]["annotations"]["io.containerd.image.name"] == "boxfleet.local/busybox:1"
    assert list((tmp_path / "one" / "work").iterdir()) == []
    assert mounts_below(tmp_path) == []


def write(folder: pathlib.Path, **fields: object) -> pathlib.Path:
    recipe = {
        "apiVersion": "boxfleet.dev/v1",
        "kind": "ImageRecipe",
        "name": "probe",
        "variant": "extract",
        "packages": ["busybox-static"],
    }
    path = folder / "probe.yaml"
    path.write_text(json.dumps(recipe | fields))
    return path


async def test_a_cancelled_build_leaves_nothing(tmp_path):
    started = asyncio.Event()

    def progress(line: str) -> None:
        if "running command" in line:
            started.set()

    recipe = write(tmp_path, run=["busybox sleep 1000"])
    building = asyncio.create_task(build.build(recipe, cache_dir=tmp_path / "c", progress=progress))
    await asyncio.wait_for(started.wait(), 60)
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    assert list((tmp_path / "c" / "work").iterdir()) == []
    assert mounts_below(tmp_path) == []
    assert not any(str(tmp_path).encode() in command for command in commands())


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"packages": ["no-such-package-at-all"]}, "Unable to locate package no-such-package-at-all"),
        ({"run": ["echo 'it cannot be done' >&2; exit 3"]}, "it cannot be done"),
        ({"run": ["busybox ping -c 1 -W 1 127.0.0.1"]}, "mmdebstrap failed"),
        ({"suite": "nosuchsuite"}, "no package source for suite nosuchsuite"),
    ],
)
async def test_a_failing_build_says_why(tmp_path, fields, words):
    with pytest.raises(faults.BuildError) as caught:
        await build.build(write(tmp_path, **fields), cache_dir=tmp_path / "c", progress=silent)
    assert words in str(caught.value)
    assert list((tmp_path / "c" / "work").iterdir()) == []
    assert mounts_below(tmp_path) == []


async def test_a_killed_build_leaves_files_only_and_the_next_one_sweeps_them(tmp_path):
    recipe = write(tmp_path, run=["busybox sleep 1000"])
    script = (
        "import asyncio, pathlib, sys; from boxfleet.drivers.mmdebstrap import build; "
        "asyncio.run(build.build(pathlib.Path(sys.argv[1]), cache_dir=pathlib.Path(sys.argv[2]), "
        "progress=lambda line: print(line, flush=True)))"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script, str(recipe), str(tmp_path / "c")), stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        async for line in process.stdout:
            if b"running command" in line:
                break
        process.kill()
        await process.wait()
        while any(str(tmp_path).encode() in command for command in commands()):
            await asyncio.sleep(0.01)
    assert mounts_below(tmp_path) == []
    assert len(list((tmp_path / "c" / "work").iterdir())) == 1
    built = await build.build(write(tmp_path, run=["busybox true"]), cache_dir=tmp_path / "c", progress=silent)
    assert not built.cached
    assert list((tmp_path / "c" / "work").iterdir()) == []
