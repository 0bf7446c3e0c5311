"""Building images, without running a build: sources, fingerprints, archives, the cache, progress."""

import asyncio
import json
import pathlib
import shutil
import tarfile

import pytest

from boxfleet.api import recipe
from boxfleet.drivers.mmdebstrap import archive, build, cache, faults, host, mmdebstrap, source
from boxfleet.kit import clock

HEAD = "apiVersion: boxfleet.dev/v1\nkind: ImageRecipe\nname: web\n"


def write(folder: pathlib.Path, text: str = "", **beside: str) -> pathlib.Path:
    for name, content in beside.items():
        (folder / name).write_text(content)
    path = folder / "web.yaml"
    path.write_text(HEAD + text)
    return path


def fingerprint(path: pathlib.Path) -> str:
    return source.read(path).fingerprint(suite="bookworm", architecture="amd64")


def test_the_fingerprint_follows_recipe_and_files(tmp_path):
    path = write(tmp_path, "files: [{path: /run.sh, source: run}]\n", run="one")
    first = fingerprint(path)
    assert fingerprint(path) == first
    (tmp_path / "run").write_text("two")
    second = fingerprint(path)
    path.write_text(path.read_text() + "# a comment changes nothing\n")
    assert fingerprint(path) == second != first
    path.write_text(path.read_text() + "user: nobody\n")
    assert fingerprint(path) != second


def test_a_missing_file_is_named(tmp_path):
    path = write(tmp_path, "files: [{path: /run.sh, source: run}]\n")
    with pytest.raises(faults.BuildError, match=r"cannot read files\[0\].source run: No such file"):
        source.read(path)


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "recipes").mkdir()
    (tmp_path / "secret").write_text("")
    (tmp_path / "recipes" / "run").symlink_to(tmp_path / "secret")
    path = write(tmp_path / "recipes", "files: [{path: /run.sh, source: run}]\n")
    with pytest.raises(faults.BuildError, match="leads out of the recipe's folder"):
        source.read(path)


def test_what_is_no_yaml_is_said(tmp_path):
    path = tmp_path / "web.yaml"
    path.write_text("a: [")
    with pytest.raises(faults.BuildError, match="it is not YAML"):
        source.read(path)
    with pytest.raises(faults.BuildError, match="No such file"):
        source.read(tmp_path / "none.yaml")


def test_sources_in_lines():
    text = """
# deb http://a.test/debian bookworm main
deb [signed-by=/k.gpg arch=amd64] http://a.test/debian bookworm main contrib
deb-src http://a.test/debian bookworm main
deb http://a.test/debian bookworm-updates main # updates
deb http://a.test/debian trixie main
deb http://b.test/tool stable main
"""
    assert host.select_lines(text, "bookworm").splitlines() == [
        "deb [signed-by=/k.gpg arch=amd64] http://a.test/debian bookworm main contrib",
        "deb http://a.test/debian bookworm-updates main # updates",
    ]


def test_sources_in_stanzas():
    text = """Types: deb deb-src
# the archive
URIs: http://a.test/debian
Suites: bookworm trixie bookworm-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: http://a.test/security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://off.test/debian
Suites: bookworm

Types: deb
URIs: http://b.test/tool
Suites: stable
"""
    chosen = host.select_stanzas(text, "bookworm")
    assert "Suites: bookworm bookworm-updates\n" in chosen
    assert "-----BEGIN PGP PUBLIC KEY BLOCK-----" in chosen
    assert "a.test/security" in chosen
    assert "deb-src" not in chosen and "off.test" not in chosen and "b.test" not in chosen


def test_release_dates(tmp_path):
    (tmp_path / "a.test_dists_bookworm_InRelease").write_text(
        "Codename: bookworm\nDate: Sat, 06 Sep 2025 10:00:00 UTC\n"
    )
    (tmp_path / "a.test_dists_other_InRelease").write_text("nothing of use")
    assert host.read_dates(tmp_path) == {"bookworm": 1757152800}


@pytest.mark.skipif(not shutil.which("zstd"), reason="zstd is not installed")
def test_archives_are_the_same_every_time(tmp_path):
    layer = tmp_path / "layer.tar"
    with tarfile.open(layer, "w") as tar:
        tar.addfile(tarfile.TarInfo("a"))
    wanted = recipe.decode(
        {
            "apiVersion": "boxfleet.dev/v1",
            "kind": "ImageRecipe",
            "name": "web",
            "tag": "1",
            "entrypoint": ["/run"],
            "expose": ["80"],
            "env": {"A": "b"},
            "stopSignal": "SIGWINCH",
        }
    )
    written = [
        archive.write(tmp_path / name, layer=layer, wanted=wanted, architecture="amd64", source_date=1000)
        for name in ("one.tar", "two.tar")
    ]
    assert written[0] == written[1]
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as tar:
        entries = {member.name: tar.extractfile(member).read() for member in tar}
    index = json.loads(entries["index.json"])
    descriptor = index["manifests"][0]
    assert descriptor["annotations"]["io.containerd.image.name"] == "boxfleet.local/web:1"
    assert descriptor["digest"] == written[0].digest
    manifest = json.loads(entries["blobs/" + descriptor["digest"].replace(":", "/")])
    config = json.loads(entries["blobs/" + manifest["config"]["digest"].replace(":", "/")])
    assert config["created"] == "1970-01-01T00:16:40Z"
    assert config["config"]["ExposedPorts"] == {"80/tcp": {}}
    assert config["config"]["Env"][-1] == "A=b"
    assert config["config"]["StopSignal"] == "SIGWINCH"
    assert len(entries["blobs/" + manifest["layers"][0]["digest"].replace(":", "/")]) == manifest["layers"][0]["size"]


def record(size: int, reference: str = "boxfleet.local/web:1") -> cache.Record:
    return cache.Record(
        reference=reference, digest="sha256:0", size=size, suite="bookworm", source_date=1, releases={"bookworm": 1}
    )


@pytest.mark.anyio
async def test_the_cache_keeps_whole_archives_of_one_reference(tmp_path):
    store = cache.Cache(tmp_path)
    for key in ("web-1", "web-2"):
        async with store.work(key, clock=clock.SystemClock(), waiting=lambda: None) as work:
            (work / "image.tar").write_bytes(b"1234")
            assert store.find(key) is None
            store.store(key, archive=work / "image.tar", record=record(4))
    assert store.find("web-2") == record(4)
    assert store.find("web-1") is None
    assert not store.archive("web-1").exists()
    # A torn archive is not there.
    store.archive("web-2").write_bytes(b"12")
    assert store.find("web-2") is None
    assert list((tmp_path / "work").iterdir()) == []


class Turns:
    """A clock whose sleep gives others a turn."""

    def __init__(self) -> None:
        self.slept = 0

    async def sleep(self, seconds: float) -> None:
        self.slept += 1
        await asyncio.sleep(0)


@pytest.mark.anyio
async def test_builds_of_one_image_wait_for_each_other(tmp_path):
    store = cache.Cache(tmp_path)
    turns = Turns()
    told = []
    order = []

    async def one(name: str) -> None:
        async with store.work("web-1", clock=turns, waiting=lambda: told.append(name)):
            order.append(f"{name} in")
            while name == "first" and turns.slept < 3:
                await asyncio.sleep(0)
            order.append(f"{name} out")

    async with asyncio.TaskGroup() as group:
        group.create_task(one("first"))
        await asyncio.sleep(0)
        group.create_task(one("second"))
    assert [entry.split()[0] for entry in order] in (["first"] * 2 + ["second"] * 2, ["second"] * 2 + ["first"] * 2)
    assert len(told) <= 1


@pytest.mark.anyio
async def test_what_a_killed_build_left_is_swept(tmp_path):
    (tmp_path / "work" / "old-1" / "tmp").mkdir(parents=True)
    (tmp_path / "work" / "web-1").mkdir()
    store = cache.Cache(tmp_path)
    async with store.work("web-1", clock=clock.SystemClock(), waiting=lambda: None) as work:
        assert list(work.iterdir()) == []
        assert [path.name for path in (tmp_path / "work").iterdir()] == ["web-1"]


def test_progress_is_for_people():
    told: list[str] = []
    reporter = mmdebstrap.Reporter(told.append)
    for line in (
        "I: automatically chosen format: tar",
        "I: running apt-get update...",
        "0 upgraded, 11 newly installed, 0 to remove and 0 not upgraded.",
        "Need to get 55.2 MB of archives.",
        *("Setting up package-a (1.0) ..." for _ in range(25)),
        "I: running command 1 of the recipe...",
        "E: Unable to locate package nonesuch",
    ):
        reporter.feed(line)
    assert told == [
        "fetching package lists",
        "11 packages, 55.2 MB to fetch",
        "25 packages set up",
        "running command 1 of the recipe",
    ]
    assert reporter.cause().endswith("E: Unable to locate package nonesuch")


@pytest.mark.anyio
async def test_without_root_it_says_so(tmp_path, monkeypatch):
    if not shutil.which("dpkg"):
        pytest.skip("needs dpkg")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(faults.BuildError, match="needs root"):
        await build.build(write(tmp_path, "suite: bookworm\n"), cache_dir=tmp_path / "c", progress=lambda line: None)
    assert not (tmp_path / "c").exists()


@pytest.mark.anyio
async def test_missing_tools_are_named(tmp_path, monkeypatch):
    if not shutil.which("dpkg"):
        pytest.skip("needs dpkg")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(host, "missing_tools", lambda: ["mmdebstrap"])
    with pytest.raises(faults.BuildError, match=r"mmdebstrap missing: run `apt-get install"):
        await build.build(write(tmp_path, "suite: bookworm\n"), cache_dir=tmp_path / "c", progress=lambda line: None)
