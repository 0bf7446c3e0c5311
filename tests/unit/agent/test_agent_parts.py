"""Small parts of the agent on real files and sockets of this machine."""

import asyncio
import os
import pathlib

import pytest

from boxfleet.agent import host_ports, pulls, wanted
from boxfleet.agent.node import cgroups, facts
from boxfleet.agent.volumes import atomic_files, host_path, ownership
from boxfleet.api import config, meta
from boxfleet.api import pod as pods
from boxfleet.kit import clock, http_get
from boxfleet.planning import pod_actions, pod_volumes
from boxfleet.ports import runtime
from boxfleet.testing import runtime as memory


def file(path: str, content: bytes = b"x", mode: int = 0o644) -> pod_volumes.File:
    return pod_volumes.File(path=path, content=content, mode=mode)


def test_files_change_in_one_step(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "v"
    assert atomic_files.write(folder, [file("a", b"1"), file("b/c", b"2", 0o600)])
    assert not atomic_files.write(folder, [file("a", b"1"), file("b/c", b"2", 0o600)])
    generation = (folder / "..data").readlink()
    assert (folder / "b" / "c").read_bytes() == b"2"
    assert (folder / "b" / "c").stat().st_mode & 0o777 == 0o600
    assert atomic_files.write(folder, [file("a", b"3")])
    assert (folder / "a").read_bytes() == b"3"
    assert (folder / "..data").readlink() != generation
    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith("..")) == ["a"]
    assert len([path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]) == 1


def test_host_paths_are_what_they_claim(tmp_path: pathlib.Path) -> None:
    host_path.prepare(str(tmp_path / "new" / "folder"), "DirectoryOrCreate")
    assert (tmp_path / "new" / "folder").is_dir()
    host_path.prepare(str(tmp_path / "file"), "FileOrCreate")
    for path, kind in (("file", "Directory"), ("none", "File"), ("new", "Socket"), ("new", "Nonsense")):
        with pytest.raises(pod_volumes.Missing, match="hostPath type"):
            host_path.prepare(str(tmp_path / path), kind)


def test_a_group_gets_its_volume(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "v"
    folder.mkdir(mode=0o700)
    (folder / "f").touch(mode=0o600)
    ownership.give(folder, tmp_path.stat().st_gid)
    assert folder.stat().st_mode & 0o7777 == 0o2770
    assert (folder / "f").stat().st_mode & 0o777 == 0o660


def record(**status: str) -> wanted.Record:
    pod = pods.Pod(metadata=meta.ObjectMeta(name="p", namespace="n", uid="u"), status=pods.PodStatus(**status))
    secret = config.Secret(metadata=meta.ObjectMeta(name="s", resourceVersion="1"), data={"k": "aGlkZGVu"})
    return wanted.Record(pod=pod, secrets={"s": secret})


def test_the_wanted_state_is_on_disk_and_only_for_its_owner(tmp_path: pathlib.Path) -> None:
    store = wanted.Wanted(tmp_path / "pods")
    assert store.load() == []
    assert store.save(record())
    assert not store.save(record(podIP="10.0.0.1"))
    assert store.save(record(phase="Succeeded"))
    path = tmp_path / "pods" / "u.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert "aGlkZGVu" not in repr(record())
    (again,) = wanted.Wanted(tmp_path / "pods").load()
    assert again.secrets["s"].data == {"k": "aGlkZGVu"}
    assert again.pod.status.phase == "Succeeded"
    store.remove("u")
    assert wanted.Wanted(tmp_path / "pods").load() == []


def test_a_broken_record_is_set_aside(tmp_path: pathlib.Path) -> None:
    (tmp_path / "u.json").write_text("{")
    assert wanted.Wanted(tmp_path).load() == []
    assert (tmp_path / "u.broken").exists()


@pytest.fixture
def kernel(tmp_path: pathlib.Path) -> pathlib.Path:
    """A kernel that can have a thousand processes."""
    folder = tmp_path / "kernel"
    folder.mkdir()
    (folder / "pid_max").write_text("32768\n")
    (folder / "threads-max").write_text("1000\n")
    return folder


def test_cgroups_of_both_versions(tmp_path: pathlib.Path, kernel: pathlib.Path) -> None:
    first = tmp_path / "v1"
    for name in ("cpu", "memory", "pids"):
        (first / name).mkdir(parents=True)
        (first / name / "tasks").touch()
    no_systemd = tmp_path / "booted"
    cgroups.enforce(first, "/fleet", cpu=1800, memory=2**30, booted=no_systemd, kernel=kernel)
    assert (first / "cpu/fleet/cpu.cfs_quota_us").read_text() == "180000"
    assert (first / "memory/fleet/memory.limit_in_bytes").read_text() == str(2**30)
    assert (first / "pids/fleet/pids.max").read_text() == "750"
    second = tmp_path / "v2"
    second.mkdir()
    (second / "cgroup.controllers").touch()
    cgroups.enforce(second, "/fleet", cpu=1800, memory=2**30, booted=no_systemd, kernel=kernel)
    assert (second / "fleet/cpu.max").read_text() == "180000 100000"
    assert (second / "fleet/memory.max").read_text() == str(2**30)
    assert (second / "fleet/pids.max").read_text() == "750"
    assert (second / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"


def test_systemd_is_asked_for_limits_where_it_owns_the_cgroups(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, kernel: pathlib.Path
) -> None:
    root, programs, asked = tmp_path / "cgroup", tmp_path / "bin", tmp_path / "asked"
    root.mkdir()
    programs.mkdir()
    (root / "cgroup.controllers").touch()
    (programs / "systemctl").write_text(f'#!/bin/sh\necho "$*" >>{asked}\n')
    (programs / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    cgroups.enforce(root, "/fleet-2", cpu=1805, memory=2**30, booted=tmp_path, kernel=kernel)
    cgroups.remove(root, "/fleet-2", booted=tmp_path)
    assert asked.read_text().splitlines() == [
        r"set-property --runtime fleet\x2d2.slice CPUQuota=180.5% CPUWeight=71 MemoryMax=1073741824 TasksMax=750",
        r"stop fleet\x2d2.slice",
        r"revert fleet\x2d2.slice",
    ]
    assert [path.name for path in root.iterdir()] == ["cgroup.controllers"]


def test_the_hosts_resolver(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("# x\nnameserver 192.0.2.1\nsearch a b\noptions ndots:1 edns0\nnameserver 192.0.2.2\n")
    found = facts.host_resolver(path)
    assert (found.servers, found.searches, found.options) == (
        ["192.0.2.1", "192.0.2.2"], ["a", "b"], ["ndots:1", "edns0"],
    )  # fmt: skip


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "status"), [(b"HTTP/1.1 204 No\r\n\r\n", 204), (b"HTTP/1.0 503 Sick\r\n\r\nill", 503)]
)
async def test_a_probes_get(answer: bytes, status: int) -> None:
    asked = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert host_ports.taken([runtime.PortMapping(container_port=1, host_port=port)])
        got, _ = await http_get.get(
            host="127.0.0.1", port=port, path="/x?y", scheme="HTTP", headers=[("Host", "me")], timeout=2, patience=2
        )
    assert got == status
    assert asked[0].startswith(b"GET /x?y HTTP/1.1\r\n")
    assert asked[0].count(b"Host: me\r\n") == 1


@pytest.mark.anyio
async def test_a_refused_connection_is_said_in_plain_words() -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
    with pytest.raises(ConnectionError) as refused:
        await http_get.connect(host="127.0.0.1", port=port, timeout=2)
    assert str(refused.value) == f"cannot connect to 127.0.0.1:{port}: Connection refused"


@pytest.mark.anyio
async def test_an_own_image_that_is_not_there_is_never_asked_for_elsewhere() -> None:
    images = memory.MemoryImages()
    images.registry.add("own/x:1")
    given = pulls.Pulls(images, clock=clock.SystemClock(), at_once=1, local="own/")
    held = await given.ensure(pods.Container(name="c", image="own/x:1"), start="a", done=lambda: None)
    assert isinstance(held, pod_actions.Hold)
    assert held.reason == "ErrImageNeverPull"
    assert "own/x:1" in held.message
    assert "own/x:1" not in images.images


@pytest.mark.anyio
async def test_a_pull_happens_once_and_failures_back_off() -> None:
    images = memory.MemoryImages()
    woken = asyncio.Event()
    given = pulls.Pulls(images, clock=clock.SystemClock(), at_once=1)
    task = asyncio.create_task(given.run())
    await asyncio.sleep(0)
    spec = pods.Container(name="c", image="r/x:1")
    try:
        for reason in ("ErrImagePull", "ErrImagePull"):
            woken.clear()
            held = await given.ensure(spec, start="a", done=woken.set)
            assert isinstance(held, pod_actions.Hold)
            if held.reason == "ContainerCreating":
                await woken.wait()
                held = await given.ensure(spec, start="a", done=woken.set)
            assert isinstance(held, pod_actions.Hold)
            assert held.reason == reason
        never = await given.ensure(
            pods.Container(name="c", image="r/y:1", imagePullPolicy="Never"), start="a", done=woken.set
        )
        assert isinstance(never, pod_actions.Hold)
        assert never.reason == "ErrImageNeverPull"
        images.registry.add("r/z")
        woken.clear()
        latest = pods.Container(name="c", image="r/z")
        assert isinstance(await given.ensure(latest, start="a", done=woken.set), pod_actions.Hold)
        await woken.wait()
        assert isinstance(await given.ensure(latest, start="a", done=woken.set), pulls.Found)
        assert isinstance(await given.ensure(latest, start="b", done=woken.set), pod_actions.Hold)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.anyio
async def test_one_look_for_an_image_serves_all_that_start_together() -> None:
    images = memory.MemoryImages(["r/x:1"])
    looks = []
    real = images.find

    async def find(reference: str) -> runtime.Image | None:
        looks.append(reference)
        return await real(reference)

    images.find = find  # type: ignore[method-assign]
    given = pulls.Pulls(images, clock=clock.SystemClock(), at_once=1)
    spec = pods.Container(name="c", image="r/x:1")
    for start in "abc":
        assert isinstance(await given.ensure(spec, start=start, done=lambda: None), pulls.Found)
    assert looks == ["r/x:1"]
    # What was not there is looked for each time: somebody may have brought it.
    never = pods.Container(name="c", image="r/y:1", imagePullPolicy="Never")
    assert isinstance(await given.ensure(never, start="a", done=lambda: None), pod_actions.Hold)
    images.images["r/y:1"] = images.images["r/x:1"]
    assert isinstance(await given.ensure(never, start="a", done=lambda: None), pulls.Found)


@pytest.mark.parametrize(
    ("reference", "policy"),
    [
        ("a", "Always"),
        ("a:latest", "Always"),
        ("a:1", "IfNotPresent"),
        ("r:5000/a", "Always"),
        ("a@sha256:0", "IfNotPresent"),
    ],
)
def test_the_default_pull_policy(reference: str, policy: str) -> None:
    assert pulls.default_policy(reference) == policy
