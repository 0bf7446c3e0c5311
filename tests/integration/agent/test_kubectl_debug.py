"""kubectl debug with an ephemeral container, on a real agent and containerd."""

import json
import pathlib
from typing import Any

import pytest
from tests.integration.agent import bed as beds
from tests.integration.agent import image, shell

from boxfleet.api import pod as pods
from boxfleet.testing import server

pytestmark = [pytest.mark.anyio, pytest.mark.machine]

MAIN: dict[str, Any] = {"containers": [{"name": "main", "command": ["/bin/sleep", "100000"]}]}
_STAYS = "trap 'exit 0' TERM; while :; do sleep 0.1; done"


def state(pod: pods.Pod, name: str) -> pods.ContainerState:
    found = pod.status.find_container(name)
    return found.state if found is not None else pods.ContainerState()


async def test_a_shell_beside_the_processes_of_a_container(bed: beds.Bed) -> None:
    await bed.pod(MAIN)
    await bed.ready()
    # What is said before kubectl has attached goes to the log alone.
    script = "read enter; echo sees $(cat /proc/1/cmdline); read word; echo got $word; exit 3"
    async with shell.of(bed) as kubectl:
        words = ["debug", "-it", "one", f"--image={image.NAME}", "--target=main", "-c", "look"]
        _, said = await kubectl.talk(
            *words, "--", "sh", "-c", script, steps=[("pressing enter", "\n"), ("sees /bin/sleep", "hello\n")]
        )
        assert "got hello" in said
        pod = await bed.until(lambda pod: state(pod, "look").terminated)
        ended = state(pod, "look").terminated
        assert ended is not None
        assert ended.exitCode == 3
        look = pod.status.find_container("look")
        assert look is not None
        assert look.restartCount == 0
        assert beds.is_ready(pod)
        assert "got hello" in await kubectl("logs", "one", "-c", "look")
        described = await kubectl("describe", "pod", "one")
        part = described.partition("Ephemeral Containers:")[2].partition("Conditions:")[0]
        assert image.NAME in part
        assert "Exit Code:" in part
        assert "Started container look" in described
        # Without a target it sees its own processes only.
        words = ["debug", "-i", "one", f"--image={image.NAME}", "-c", "alone", "--", "sh", "-c"]
        await kubectl(*words, "cat /proc/1/cmdline")
        await bed.until(lambda pod: state(pod, "alone").terminated)
        assert (await kubectl("logs", "one", "-c", "alone")).startswith("sh\0")


async def test_it_is_adopted_by_the_next_agent_and_ends_with_the_pod(bed: beds.Bed) -> None:
    await bed.pod(MAIN)
    await bed.ready()
    async with shell.of(bed) as kubectl:
        await kubectl("debug", "one", f"--image={image.NAME}", "--target=main", "-c", "live", "--", "sh", "-c", _STAYS)
        before = await bed.until(lambda pod: state(pod, "live").running)
        await bed.stop()
        bed.start()
        assert await kubectl("exec", "one", "-c", "live", "--", "cat", "/proc/1/cmdline") == "/bin/sleep\x00100000\x00"
        # The next one joins through the new agent, which then has seen all that is there.
        await kubectl("debug", "one", f"--image={image.NAME}", "-c", "next", "--", "sh", "-c", _STAYS)
        after = await bed.until(lambda pod: state(pod, "next").running)
        assert after.status.find_container("live") == before.status.find_container("live")
        there = [one.name for one in await bed.host.containerd.runtime.list_containers()]
        assert sorted(there) == ["live", "main", "next"]
        await kubectl("delete", "pod", "one", "--wait")
    await bed.gone()
    assert await bed.host.containerd.runtime.list_containers() == []


async def test_an_image_that_cannot_be_had_is_told_and_harms_nothing(bed: beds.Bed) -> None:
    await bed.pod(MAIN)
    await bed.ready()
    async with shell.of(bed) as kubectl:
        await kubectl("debug", "one", "--image=127.0.0.1:1/none:1", "-c", "bad")

        def refused(pod: pods.Pod) -> bool:
            waiting = state(pod, "bad").waiting
            return waiting is not None and waiting.reason in ("ErrImagePull", "ImagePullBackOff")

        pod = await bed.until(refused)
        assert beds.is_ready(pod)
        assert pod.status.phase == "Running"
        assert "127.0.0.1:1/none:1" in (await kubectl("describe", "pod", "one")).partition("Events:")[2]


async def test_a_shell_on_a_node(bed: beds.Bed) -> None:
    words = ["debug", f"node/{server.NODE}", "-it", f"--image={image.NAME}"]
    async with shell.of(bed) as kubectl, shell.controlled(bed):
        await kubectl("wait", "--for=condition=Ready", f"node/{server.NODE}", "--timeout=30s")
        (bed.state / "seen").mkdir()
        (bed.state / "seen" / "from-the-node").touch()
        # With its default profile: the node's files, and its processes, network and memory.
        spaces = [f"/proc/self/ns/{name}" for name in ("pid", "net", "ipc")]
        script = f"read enter; ls '/host{bed.state}/seen'; readlink {' '.join(spaces)}; echo ask; read word; exit 3"
        _, said = await kubectl.talk(*words, "--", "sh", "-c", script, steps=[("press", "\n"), ("ask", "\n")])
        assert ["from-the-node", *(str(pathlib.Path(each).readlink()) for each in spaces), "ask"] == said.split()[-5:]
        # What has ended before kubectl is there is shown from the log.
        _, said = await kubectl.talk(*words, "--", "ls", "/host", steps=[])
        assert {"etc", "usr", "var"} <= set(said.split())
        # The image's own command, which sleeps until it is interrupted.
        await kubectl.talk(*words, steps=[("press", "\x03")])
        found = json.loads(await kubectl("get", "pods", "-o", "json"))["items"]
        codes = [
            [status["state"]["terminated"]["exitCode"] for status in pod["status"]["containerStatuses"]]
            for pod in found
        ]
        assert sorted(codes) == [[0], [3], [130]]
