"""What every container runtime must do."""

import asyncio
import contextlib
import dataclasses
import pathlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from boxfleet.ports import runtime

FOREVER = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1; done"]
_GONE = "f" * 64
_SECONDS = 20.0


@dataclasses.dataclass(slots=True, kw_only=True)
class Bed:
    """A runtime with an image that has `sh` and `echo`; `assign` gets the network ready for a sandbox."""

    engine: runtime.Runtime
    images: runtime.Images
    image: str
    logs: pathlib.Path
    cgroup_parent: str = ""
    assign: Callable[[runtime.SandboxConfig], Awaitable[None]]

    @contextlib.asynccontextmanager
    async def sandbox(self, config: runtime.SandboxConfig) -> AsyncIterator[str]:
        """A running sandbox, removed at the end."""
        await self.assign(config)
        sandbox_id = await self.engine.run_sandbox(config)
        try:
            yield sandbox_id
        finally:
            await self.engine.stop_sandbox(sandbox_id)
            await self.engine.remove_sandbox(sandbox_id)

    def config(self, name: str, *, attempt: int = 0) -> runtime.SandboxConfig:
        """An ordinary sandbox."""
        return runtime.SandboxConfig(
            name=name,
            namespace="conformance",
            uid=f"uid-{name}",
            attempt=attempt,
            hostname=name,
            log_directory=str(self.logs / name),
            labels={"app": name},
            annotations={"note": "kept, with spaces"},
            cgroup_parent=self.cgroup_parent,
        )

    def container(self, command: list[str], *, name: str = "main", attempt: int = 0) -> runtime.ContainerConfig:
        """An ordinary container."""
        return runtime.ContainerConfig(
            name=name,
            image=self.image,
            attempt=attempt,
            command=command,
            labels={"container": name},
            log_path=f"{name}-{attempt}.log",
        )

    async def started(self, sandbox_id: str, config: runtime.ContainerConfig, sandbox: runtime.SandboxConfig) -> str:
        """A started container."""
        container_id = await self.engine.create_container(sandbox_id, config, sandbox)
        await self.engine.start_container(container_id)
        return container_id

    async def ended(self, container_id: str) -> runtime.ContainerStatus:
        """The status of a container once it has ended."""
        async with asyncio.timeout(_SECONDS):
            while True:
                status = await self.engine.container_status(container_id)
                if status.state is runtime.State.EXITED:
                    return status
                await asyncio.sleep(0.01)


@pytest.mark.anyio
class RuntimeConformance:
    """Inherit, and give a fixture `bed`."""

    async def test_says_what_it_is(self, bed: Bed) -> None:
        """A version is NAME://VERSION, and the network is ready."""
        name, _, version = (await bed.engine.version()).partition("://")
        assert name and version
        assert await bed.engine.network_ready() == ""

    async def test_a_sandbox_lives_and_ends(self, bed: Bed) -> None:
        """Everything that was given comes back; stopping and removing can be repeated."""
        config = bed.config("life")
        async with bed.sandbox(config) as sandbox_id:
            listed = {one.id: one for one in await bed.engine.list_sandboxes()}[sandbox_id]
            status = await bed.engine.sandbox_status(sandbox_id)
            for one in (listed, status):
                assert (one.name, one.namespace, one.uid, one.attempt) == ("life", "conformance", "uid-life", 0)
                assert one.ready and one.created_at > 0
                assert one.labels == config.labels
                assert one.annotations == config.annotations
            assert status.ip
            await bed.engine.stop_sandbox(sandbox_id)
            await bed.engine.stop_sandbox(sandbox_id)
            assert not (await bed.engine.sandbox_status(sandbox_id)).ready
            await bed.engine.remove_sandbox(sandbox_id)
            with pytest.raises(runtime.NotFound):
                await bed.engine.sandbox_status(sandbox_id)

    async def test_a_sandbox_is_unique(self, bed: Bed) -> None:
        """The same name, uid and attempt cannot be there twice, another attempt can."""
        async with bed.sandbox(bed.config("twice")) as first:
            with pytest.raises(runtime.RuntimeFault):
                await bed.engine.run_sandbox(bed.config("twice"))
            await bed.engine.stop_sandbox(first)
            async with bed.sandbox(bed.config("twice", attempt=1)) as second:
                assert second != first

    async def test_a_container_lives_and_ends(self, bed: Bed) -> None:
        """Created, running, exited, gone."""
        config = bed.config("container")
        async with bed.sandbox(config) as sandbox_id:
            container_id = await bed.engine.create_container(sandbox_id, bed.container(FOREVER), config)
            assert (await bed.engine.container_status(container_id)).state is runtime.State.CREATED
            await bed.engine.start_container(container_id)
            status = await bed.engine.container_status(container_id)
            assert status.state is runtime.State.RUNNING
            assert status.sandbox_id == sandbox_id
            assert status.started_at >= status.created_at > 0
            listed = {one.id: one for one in await bed.engine.list_containers()}[container_id]
            assert (listed.name, listed.attempt, listed.image) == ("main", 0, bed.image)
            assert listed.labels == {"container": "main"}
            assert listed.state is runtime.State.RUNNING
            await bed.engine.stop_container(container_id, grace_seconds=5)
            status = await bed.engine.container_status(container_id)
            assert status.state is runtime.State.EXITED
            assert status.finished_at >= status.started_at
            await bed.engine.stop_container(container_id, grace_seconds=5)
            await bed.engine.remove_container(container_id)
            await bed.engine.remove_container(container_id)
            with pytest.raises(runtime.NotFound):
                await bed.engine.container_status(container_id)

    async def test_an_exit_code_is_kept(self, bed: Bed) -> None:
        """With the reasons that Kubernetes shows."""
        config = bed.config("codes")
        async with bed.sandbox(config) as sandbox_id:
            failed = await bed.started(sandbox_id, bed.container(["sh", "-c", "exit 3"], name="failed"), config)
            well = await bed.started(sandbox_id, bed.container(["sh", "-c", "exit 0"], name="well"), config)
            status = await bed.ended(failed)
            assert (status.exit_code, status.reason) == (3, "Error")
            status = await bed.ended(well)
            assert (status.exit_code, status.reason) == (0, "Completed")

    async def test_a_container_restarts_in_its_sandbox(self, bed: Bed) -> None:
        """A new attempt beside the old one, at the same address."""
        config = bed.config("again")
        async with bed.sandbox(config) as sandbox_id:
            before = (await bed.engine.sandbox_status(sandbox_id)).ip
            first = await bed.started(sandbox_id, bed.container(["sh", "-c", "exit 1"]), config)
            await bed.ended(first)
            second = await bed.started(sandbox_id, bed.container(FOREVER, attempt=1), config)
            assert (await bed.engine.container_status(second)).attempt == 1
            assert (await bed.engine.container_status(first)).exit_code == 1
            assert (await bed.engine.sandbox_status(sandbox_id)).ip == before

    async def test_a_container_joins_the_processes_of_another(self, bed: Bed) -> None:
        """Of one that runs in the same sandbox; of no other."""
        config = bed.config("joined")
        async with bed.sandbox(config) as sandbox_id:
            target = await bed.started(sandbox_id, bed.container(FOREVER), config)
            look = bed.container(FOREVER, name="look")
            look.target_id = target
            joined = await bed.started(sandbox_id, look, config)
            assert (await bed.engine.container_status(joined)).state is runtime.State.RUNNING
            result = await bed.engine.exec_sync(joined, ["echo", "here"], timeout=10)
            assert result.stdout == b"here\n"
            other = bed.config("elsewhere")
            stranger = bed.container(FOREVER, name="stranger")
            stranger.target_id = target
            async with bed.sandbox(other) as other_id:
                with pytest.raises(runtime.RuntimeFault):
                    await bed.engine.create_container(other_id, stranger, other)
            await bed.engine.stop_container(target, grace_seconds=5)
            with pytest.raises(runtime.RuntimeFault):
                await bed.engine.create_container(sandbox_id, stranger, config)
            stranger.target_id = _GONE
            with pytest.raises(runtime.RuntimeFault):
                await bed.engine.create_container(sandbox_id, stranger, config)

    async def test_a_sandbox_takes_its_containers_along(self, bed: Bed) -> None:
        """Stopping ends them, removing removes them."""
        config = bed.config("along")
        async with bed.sandbox(config) as sandbox_id:
            container_id = await bed.started(sandbox_id, bed.container(FOREVER), config)
            await bed.engine.stop_sandbox(sandbox_id)
            assert (await bed.engine.container_status(container_id)).state is runtime.State.EXITED
            await bed.engine.remove_sandbox(sandbox_id)
            assert container_id not in {one.id for one in await bed.engine.list_containers()}

    async def test_an_attempt_is_unique_for_the_instance(self, bed: Bed) -> None:
        """Also from one sandbox to the next, until the container of the old one is removed."""
        async with bed.sandbox(bed.config("attempts")) as first:
            old = await bed.started(first, bed.container(FOREVER), bed.config("attempts"))
            await bed.engine.stop_sandbox(first)
            config = bed.config("attempts", attempt=1)
            async with bed.sandbox(config) as second:
                with pytest.raises(runtime.RuntimeFault, match="reserved"):
                    await bed.engine.create_container(second, bed.container(FOREVER), config)
                await bed.started(second, bed.container(FOREVER, attempt=1), config)
                await bed.engine.remove_container(old)
                await bed.engine.create_container(second, bed.container(FOREVER), config)

    async def test_what_is_not_there_is_named(self, bed: Bed) -> None:
        """NotFound for reads and for starts; harmless for what ends things."""
        with pytest.raises(runtime.NotFound):
            await bed.engine.sandbox_status(_GONE)
        with pytest.raises(runtime.NotFound):
            await bed.engine.container_status(_GONE)
        with pytest.raises(runtime.NotFound):
            await bed.engine.start_container(_GONE)
        with pytest.raises(runtime.NotFound):
            await bed.engine.exec_sync(_GONE, ["echo"], timeout=5)
        await bed.engine.stop_container(_GONE, grace_seconds=1)
        await bed.engine.remove_container(_GONE)
        await bed.engine.stop_sandbox(_GONE)
        await bed.engine.remove_sandbox(_GONE)
        config = bed.config("no-image")
        async with bed.sandbox(config) as sandbox_id:
            wrong = bed.container(FOREVER)
            wrong.image = "boxfleet.local/not-there:1"
            with pytest.raises(runtime.NotFound, match="not-there"):
                await bed.engine.create_container(sandbox_id, wrong, config)

    async def test_commands_run(self, bed: Bed) -> None:
        """With output and exit code; only in what runs."""
        config = bed.config("commands")
        async with bed.sandbox(config) as sandbox_id:
            container_id = await bed.started(sandbox_id, bed.container(FOREVER), config)
            result = await bed.engine.exec_sync(container_id, ["echo", "a", "b"], timeout=10)
            assert result == runtime.ExecResult(exit_code=0, stdout=b"a b\n")
            result = await bed.engine.exec_sync(container_id, ["sh", "-c", "exit 7"], timeout=10)
            assert result.exit_code == 7
            await bed.engine.stop_container(container_id, grace_seconds=5)
            with pytest.raises(runtime.RuntimeFault):
                await bed.engine.exec_sync(container_id, ["echo"], timeout=10)

    async def test_events_come_when_the_state_is_there(self, bed: Bed) -> None:
        """RESYNC first; at the EXITED hint the status already says so."""
        config = bed.config("events")
        events = bed.engine.events()
        async with contextlib.aclosing(events), asyncio.timeout(_SECONDS):  # type: ignore[type-var]
            assert (await anext(events)).kind is runtime.EventKind.RESYNC
            async with bed.sandbox(config) as sandbox_id:
                container_id = await bed.started(sandbox_id, bed.container(["sh", "-c", "exit 4"]), config)
                heard = [await anext(events)]
                while (heard[-1].kind, heard[-1].container_id) != (runtime.EventKind.EXITED, container_id):
                    heard.append(await anext(events))
                assert (await bed.engine.container_status(container_id)).exit_code == 4

    async def test_statistics_of_what_runs(self, bed: Bed) -> None:
        """A running container is there, an ended one is not."""
        config = bed.config("stats")
        async with bed.sandbox(config) as sandbox_id:
            running = await bed.started(sandbox_id, bed.container(FOREVER), config)
            done = await bed.started(sandbox_id, bed.container(["sh", "-c", "exit 0"], name="done"), config)
            await bed.ended(done)
            stats = {one.id: one for one in await bed.engine.stats()}
            assert done not in stats
            assert stats[running].cpu_ns > 0
            assert stats[running].memory_working_set > 0

    async def test_images_are_found(self, bed: Bed) -> None:
        """By name and by id; what is not there is None."""
        image = await bed.images.find(bed.image)
        assert image is not None
        assert bed.image in image.tags
        assert image.size > 0
        by_id = await bed.images.find(image.id)
        assert by_id is not None and by_id.id == image.id
        assert image.id in {one.id for one in await bed.images.list()}
        assert await bed.images.find("boxfleet.local/not-there:1") is None
        await bed.images.remove("boxfleet.local/not-there:1")
        _, capacity = await bed.images.usage()
        assert capacity > 0

    async def test_an_image_that_cannot_be_had_is_named(self, bed: Bed) -> None:
        """Pulling and loading say what they wanted."""
        with pytest.raises(runtime.RuntimeFault, match="nothing"):
            await bed.images.pull("127.0.0.1:1/nothing:1")
        with pytest.raises(runtime.RuntimeFault, match=r"no-archive\.tar"):
            await bed.images.load("/nonexistent/no-archive.tar")
