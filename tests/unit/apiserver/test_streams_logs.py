import asyncio
import pathlib

import aiohttp
import msgspec
import pytest
from tests.unit.apiserver import streams_bed as beds

from boxfleet.api import pod
from boxfleet.ports import runtime

pytestmark = pytest.mark.anyio

LOG = beds.POD_URL + "/log"


def folder(root: pathlib.Path) -> pathlib.Path:
    path = root / "default_p_u1" / "main"
    path.mkdir(parents=True, exist_ok=True)
    return path


def entry(text: str) -> str:
    return f"2026-01-02T03:04:05.5Z stdout F {text}\n"


def end(bed: beds.Bed) -> None:
    """The container's run ends."""
    last = bed.engine.containers[-1]
    bed.engine.containers[-1] = msgspec.structs.replace(last, state=runtime.State.EXITED)


async def read(bed: beds.Bed, query: str = "") -> tuple[int, str]:
    async with bed.get(LOG + query) as answer:
        return answer.status, await answer.text()


async def test_whole_and_in_parts(tmp_path: pathlib.Path) -> None:
    (folder(tmp_path) / "0.log").write_text(entry("one") + entry("two") + entry("three"))
    async with beds.bed(tmp_path) as bed:
        assert await read(bed) == (200, "one\ntwo\nthree\n")
        assert await read(bed, "?tailLines=2") == (200, "two\nthree\n")
        assert await read(bed, "?limitBytes=6") == (200, "one\ntw")
        assert await read(bed, "?tailLines=1&timestamps=true") == (200, "2026-01-02T03:04:05.5Z three\n")
        assert await read(bed, "?sinceTime=2026-01-03T00:00:00Z") == (200, "")
        assert await read(bed, "?sinceSeconds=100000000") == (200, "one\ntwo\nthree\n")


async def test_previous_run(tmp_path: pathlib.Path) -> None:
    (folder(tmp_path) / "0.log").write_text(entry("first"))
    async with beds.bed(tmp_path) as bed:
        code, text = await read(bed, "?previous=true")
        assert (code, "previous terminated container" in text) == (400, True)
        (folder(tmp_path) / "1.log").write_text(entry("second"))
        bed.engine.containers.append(
            msgspec.structs.replace(bed.engine.containers[0], id="c2", attempt=1, created_at=2)
        )
        assert await read(bed) == (200, "second\n")
        assert await read(bed, "?previous=true") == (200, "first\n")
        # Between two runs the last one counts as the previous.
        end(bed)
        assert bed.pod is not None
        waiting = pod.ContainerState(waiting=pod.ContainerStateWaiting(reason="CrashLoopBackOff"))
        bed.pod.status.containerStatuses = [pod.ContainerStatus(name="main", state=waiting)]
        assert await read(bed, "?previous=true") == (200, "second\n")


async def test_what_waits_and_what_is_wrong(tmp_path: pathlib.Path) -> None:
    async with beds.bed(tmp_path) as bed:
        bed.engine.containers.clear()
        assert bed.pod is not None
        for reason, words in (
            ("ErrImagePull", "image can't be pulled"),
            ("ImagePullBackOff", "trying and failing to pull image"),
            ("PodInitializing", "PodInitializing"),
        ):
            waiting = pod.ContainerState(waiting=pod.ContainerStateWaiting(reason=reason))
            bed.pod.status.containerStatuses = [pod.ContainerStatus(name="main", state=waiting)]
            code, text = await read(bed)
            assert code == 400
            assert f'container \\"main\\" in pod \\"p\\" is waiting to start: {words}' in text
        assert (await read(bed, "?tailLines=x"))[0] == 400
        assert (await read(bed, "?tailLines=-1"))[0] == 422
        assert (await read(bed, "?sinceTime=2026-01-03T00:00:00Z&sinceSeconds=1"))[0] == 422
        assert (await read(bed, "?follow=maybe"))[0] == 400
        bed.pod = beds.a_pod(containers=("a", "b"))
        assert (await read(bed))[0] == 400
        bed.pod = beds.a_pod(node="")
        assert await read(bed) == (204, "")


async def test_follow_through_rotation_to_the_end(tmp_path: pathlib.Path) -> None:
    path = folder(tmp_path) / "0.log"
    path.write_text(entry("one"))
    async with beds.bed(tmp_path) as bed, bed.get(LOG + "?follow=true") as answer:
        assert await answer.content.readline() == b"one\n"
        with path.open("a") as log:
            log.write(entry("two"))
            log.flush()
            assert await answer.content.readline() == b"two\n"
            path.rename(path.with_name("0.log.1"))
            log.write(entry("three"))
        with path.open("a") as log:
            log.write(entry("four"))
            log.flush()
            assert await answer.content.readline() == b"three\n"
            assert await answer.content.readline() == b"four\n"
            log.write(entry("five"))
            end(bed)
        async with asyncio.timeout(30):
            assert await answer.content.read() == b"five\n"


async def test_follow_before_there_is_a_file(tmp_path: pathlib.Path) -> None:
    async with beds.bed(tmp_path) as bed, bed.get(LOG + "?follow=true") as answer:
        assert answer.status == 200
        (folder(tmp_path) / "0.log").write_text(entry("one"))
        assert await answer.content.readline() == b"one\n"


async def test_a_reader_who_leaves_ends_the_stream(tmp_path: pathlib.Path) -> None:
    (folder(tmp_path) / "0.log").write_text(entry("one"))
    async with beds.bed(tmp_path) as bed:
        before = len(asyncio.all_tasks())
        answer = await bed.get(LOG + "?follow=true")
        assert await answer.content.readline() == b"one\n"
        during = len(asyncio.all_tasks())
        answer.close()
        async with asyncio.timeout(30):
            while len(asyncio.all_tasks()) > before:
                await asyncio.sleep(0.005)
        assert during > before


async def test_an_agent_that_vanishes_does_not_look_like_the_end(tmp_path: pathlib.Path) -> None:
    (folder(tmp_path) / "0.log").write_text(entry("one"))
    async with beds.bed(tmp_path, agent=False) as bed:
        async with bed.agent():
            answer = await bed.get(LOG + "?follow=true")
            assert await answer.content.readline() == b"one\n"
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.content.read()


async def test_a_slow_reader_makes_nobody_grow(tmp_path: pathlib.Path) -> None:
    path = folder(tmp_path) / "0.log"
    path.write_text(entry("x" * 1000) * 40_000)
    async with beds.bed(tmp_path) as bed, bed.get(LOG) as answer:
        await answer.content.readline()
        resident = int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096
        for _ in range(20):
            await asyncio.sleep(0.01)
        grown = int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096 - resident
        assert grown < 16 * 2**20
        assert len(await answer.content.read()) == 1001 * 39_999
