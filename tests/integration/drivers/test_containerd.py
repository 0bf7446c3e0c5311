"""The driver of containerd against the real one."""

import asyncio
import dataclasses
import json
import os
import pathlib
import re
import signal

import pytest

from boxfleet.drivers.containerd import daemon, orphans, purge, traces
from boxfleet.ports import runtime
from boxfleet.testing import host as test_host
from boxfleet.testing import tools
from boxfleet.testing.conformance import runtime as suite

pytestmark = pytest.mark.machine


@pytest.fixture
def bed(host: test_host.Host, drivers: test_host.Drivers) -> suite.Bed:
    given = {}

    async def assign(config: runtime.SandboxConfig) -> None:
        address = given.setdefault(config.name, f"198.18.0.{10 + len(given)}")
        await drivers.network.assign(
            namespace=config.namespace, name=config.name, address=address, pool=test_host.POOL.name
        )

    return suite.Bed(
        engine=drivers.containerd.runtime,
        images=drivers.containerd.images,
        image=tools.IMAGE,
        logs=host.logs,
        cgroup_parent=host.cgroup,
        assign=assign,
    )


class TestContainerd(suite.RuntimeConformance):
    """All that the port promises."""


@pytest.mark.anyio
async def test_a_slow_command_is_killed(bed: suite.Bed) -> None:
    config = bed.config("slow")
    async with bed.sandbox(config) as sandbox_id:
        container_id = await bed.started(sandbox_id, bed.container(suite.FOREVER), config)
        with pytest.raises(TimeoutError, match=r"0\.2 s"):
            await bed.engine.exec_sync(container_id, ["sh", "-c", "exec sleep 4321"], timeout=0.2)
        async with asyncio.timeout(10):
            while _processes("sleep\x004321"):
                await asyncio.sleep(0.02)


@pytest.mark.anyio
async def test_the_configuration_arrives(bed: suite.Bed, tmp_path: pathlib.Path) -> None:
    config = bed.config("arrives")
    config.dns_servers = ["198.18.0.1"]
    config.dns_searches = ["box.ns.fleet.test"]
    config.dns_options = ["ndots:2"]
    tmp_path.joinpath("file").write_text("mounted\n")
    tmp_path.chmod(0o755)
    async with bed.sandbox(config) as sandbox_id:
        container = bed.container(suite.FOREVER)
        container.env = {"GREETING": "hello=world"}
        container.mounts = [runtime.Mount(host_path=str(tmp_path), container_path="/data", readonly=True)]
        container.run_as_user = 1234
        container.run_as_group = 2345
        container.working_dir = "/data"
        container.limits = runtime.Limits(cpu_shares=512, cpu_quota=50000, cpu_period=100000, memory=64 * 2**20)
        container_id = await bed.started(sandbox_id, container, config)

        async def output(script: str) -> str:
            result = await bed.engine.exec_sync(container_id, ["sh", "-c", script], timeout=10)
            return (result.stdout + result.stderr).decode()

        assert await output("echo $GREETING; cat file; pwd") == "hello=world\nmounted\n/data\n"
        assert "uid=1234 gid=2345" in await output("id")
        assert "cannot create" in await output("echo x > /data/file")
        assert "nameserver 198.18.0.1" in await output("cat /etc/resolv.conf")
        assert "search box.ns.fleet.test" in await output("cat /etc/resolv.conf")
        assert "ndots:2" in await output("cat /etc/resolv.conf")
        assert await output("cat /etc/hostname") == "arrives\n"
        assert "Seccomp:\t2" in await output("cat /proc/self/status")
        assert "cannot create" in await output("echo 1 > /proc/sys/kernel/sysrq")


@pytest.mark.anyio
async def test_logs_are_in_the_format_of_cri_and_can_be_rotated(bed: suite.Bed) -> None:
    config = bed.config("logs")
    async with bed.sandbox(config) as sandbox_id:
        script = "echo one; echo two >&2; trap 'echo three; exit 0' TERM; while :; do sleep 0.1; done"
        container_id = await bed.started(sandbox_id, bed.container(["sh", "-c", script]), config)
        log = pathlib.Path((await bed.engine.container_status(container_id)).log_path)
        async with asyncio.timeout(10):
            while log.read_text().count("\n") < 2:
                await asyncio.sleep(0.02)
        lines = sorted(line.split(" ", 1)[1] for line in log.read_text().splitlines())
        assert lines == ["stderr F two", "stdout F one"]
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d) ", log.read_text())
        log.rename(log.with_suffix(".1"))
        await bed.engine.reopen_log(container_id)
        await bed.engine.stop_container(container_id, grace_seconds=10)
        async with asyncio.timeout(10):
            while "stdout F three" not in log.read_text():
                await asyncio.sleep(0.02)


@pytest.mark.anyio
async def test_too_much_memory_is_named(bed: suite.Bed) -> None:
    config = bed.config("oom")
    async with bed.sandbox(config) as sandbox_id:
        greedy = bed.container(["perl", "-e", "my @x; push @x, 'x' x 1000000 while 1"])
        greedy.limits = runtime.Limits(memory=32 * 2**20)
        container_id = await bed.started(sandbox_id, greedy, config)
        status = await bed.ended(container_id)
        assert status.exit_code == 137
        async with asyncio.timeout(10):
            while (await bed.engine.container_status(container_id)).reason != "OOMKilled":
                await asyncio.sleep(0.02)


@pytest.mark.anyio
async def test_containers_outlive_a_killed_containerd(
    bed: suite.Bed, drivers: test_host.Drivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = bed.config("outlive")
    async with bed.sandbox(config) as sandbox_id:
        container_id = await bed.started(sandbox_id, bed.container(suite.FOREVER), config)
        events = bed.engine.events()
        assert (await anext(events)).kind is runtime.EventKind.RESYNC
        address = (await bed.engine.sandbox_status(sandbox_id)).ip
        first = drivers.containerd.pid
        assert first is not None
        keeper = asyncio.create_task(drivers.containerd.supervise())
        try:
            await asyncio.sleep(0)
            os.kill(first, signal.SIGKILL)
            async with asyncio.timeout(20):
                while (await anext(events)).kind is not runtime.EventKind.RESYNC:
                    pass
            assert drivers.containerd.pid not in (None, first)
            assert drivers.told == ["containerd died: starting it again"]
            assert len(drivers.containerd.restarts) == 1
            assert (await bed.engine.container_status(container_id)).state is runtime.State.RUNNING
            assert (await bed.engine.sandbox_status(sandbox_id)).ip == address
            assert (await bed.engine.exec_sync(container_id, ["echo", "here"], timeout=10)).stdout == b"here\n"
            await bed.engine.stop_container(container_id, grace_seconds=10)
            assert (await bed.engine.container_status(container_id)).state is runtime.State.EXITED
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            await events.aclose()  # type: ignore[attr-defined]


@pytest.mark.anyio
async def test_a_hanging_containerd_is_replaced(drivers: test_host.Drivers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "_CHECK_EVERY", 0.05)
    monkeypatch.setattr(daemon, "_CHECK_PATIENCE", 1.0)
    first = drivers.containerd.pid
    assert first is not None
    keeper = asyncio.create_task(drivers.containerd.supervise())
    try:
        os.kill(first, signal.SIGSTOP)
        async with asyncio.timeout(20):
            while drivers.containerd.pid in (None, first):
                await asyncio.sleep(0.05)
            while not drivers.told:
                await asyncio.sleep(0.05)
        assert drivers.told == ["containerd gave no answer 3 times: starting it again"]
        async with asyncio.timeout(20):
            while True:
                try:
                    await drivers.containerd.runtime.version()
                    break
                except runtime.RuntimeFault:
                    await asyncio.sleep(0.05)
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)


@pytest.mark.anyio
async def test_a_running_containerd_is_adopted(host: test_host.Host, drivers: test_host.Drivers) -> None:
    pid = drivers.containerd.pid
    async with host.drivers() as others:
        await others.containerd.start()
        assert others.containerd.pid == pid
        assert await others.containerd.runtime.version() == await drivers.containerd.runtime.version()


@pytest.mark.anyio
async def test_a_stopped_containerd_is_unavailable(drivers: test_host.Drivers) -> None:
    await drivers.containerd.stop()
    assert drivers.containerd.pid is None
    with pytest.raises(runtime.Unavailable):
        await drivers.containerd.runtime.version()
    await drivers.containerd.start()
    assert await drivers.containerd.runtime.version()


@pytest.mark.anyio
async def test_a_restarted_machine_starts_afresh(
    bed: suite.Bed, host: test_host.Host, drivers: test_host.Drivers
) -> None:
    config = bed.config("reboot")
    async with bed.sandbox(config) as sandbox_id:
        container_id = await bed.started(sandbox_id, bed.container(suite.FOREVER), config)
        address = (await bed.engine.sandbox_status(sandbox_id)).ip
        await drivers.containerd.stop()
        # Everything that a restart of the machine takes away: processes, mounts, cgroups and /run, but not the root.
        gone = dataclasses.replace(host.containerd_settings, root=host.folder / "nothing")
        await purge.sweep(gone)
        await drivers.containerd.start()
        status = await bed.engine.sandbox_status(sandbox_id)
        assert not status.ready
        assert (await bed.engine.container_status(container_id)).state in (
            runtime.State.EXITED,
            runtime.State.UNKNOWN,
        )
        await bed.engine.stop_sandbox(sandbox_id)
        async with bed.sandbox(bed.config("reboot", attempt=1)) as again:
            assert (await bed.engine.sandbox_status(again)).ip == address
            await bed.started(again, bed.container(suite.FOREVER, attempt=1), config)


class Forgetful:
    """An engine whose books are empty."""

    async def list_sandboxes(self) -> list[runtime.Sandbox]:
        return []

    async def list_containers(self) -> list[runtime.Container]:
        return []


@pytest.mark.anyio
async def test_what_a_new_containerd_does_not_know_is_ended(
    bed: suite.Bed, host: test_host.Host, drivers: test_host.Drivers
) -> None:
    config, settings = bed.config("orphan"), host.containerd_settings
    async with bed.sandbox(config) as sandbox_id:
        await bed.started(sandbox_id, bed.container(suite.FOREVER), config)
        orphans.note(settings)
        # The one that knows its sandboxes leaves them alone, and the note is done with.
        assert await orphans.end(settings, bed.engine) == []
        assert (await bed.engine.sandbox_status(sandbox_id)).ready
        assert await orphans.end(settings, Forgetful()) == []
        await drivers.containerd.stop()
        spaces = settings.state / "io.containerd.grpc.v1.cri/netns"
        (lost_space,) = spaces.iterdir()
        # What containerd leaves when it is killed before it mounts the namespace that it makes.
        half_made = spaces / "cni-half-made"
        half_made.touch()
        later = bed.config("later")
        await drivers.containerd.start()
        assert list(spaces.iterdir()) == [lost_space]
        async with bed.sandbox(later) as younger_id:
            orphans.note(settings)
            young_space = next(one for one in spaces.iterdir() if one != lost_space)
            noted = json.loads(settings.noted_file.read_text())
            settings.noted_file.write_text(
                json.dumps([one for one in noted if one not in (younger_id, young_space.name)])
            )
            assert {sandbox_id, lost_space.name} <= set(await orphans.end(settings, Forgetful()))
            assert list(spaces.iterdir()) == [young_space]
            assert os.path.ismount(young_space)
            assert [words for _, words in traces.shims(settings.socket) if sandbox_id in words] == []
            assert [path for one in traces.cgroups(host.cgroup) for path in one.glob(f"**/*{sandbox_id}*")] == []
            assert [one for one in traces.mounts_below(settings.state) if "task" in one and sandbox_id in one] == []
            # What is younger than the note is not touched.
            assert (await bed.engine.sandbox_status(younger_id)).ready
        assert not settings.noted_file.exists()


def _processes(words: str) -> list[str]:
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            line = entry.joinpath("cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if words in line:
            found.append(line)
    return found
