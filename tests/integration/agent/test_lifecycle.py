"""From a bound Pod to Ready and back, through crashes and stops, on real engines."""

import asyncio
import time

import pytest
from tests.integration.agent import bed as beds

from boxfleet.api import pod as pods
from boxfleet.ports import runtime

pytestmark = [pytest.mark.anyio, pytest.mark.machine]

POLITE = "trap 'exit 0' TERM; while :; do sleep 0.1; done"


def main_of(pod: pods.Pod) -> pods.ContainerStatus:
    return pod.status.containerStatuses[0]


def engine_id(pod: pods.Pod) -> str:
    return main_of(pod).containerID.partition("://")[2]


async def test_a_pod_becomes_ready_with_its_own_address_and_goes(bed: beds.Bed) -> None:
    await bed.pod({"containers": [{"name": "main", "command": ["sh", "-c", POLITE]}]})
    pod = await bed.ready()
    assert pod.status.podIP == pod.metadata.annotations["boxfleet.dev/address"]
    assert pod.status.phase == "Running"
    assert pod.status.qosClass == "BestEffort"
    assert main_of(pod).restartCount == 0
    assert main_of(pod).state.running is not None
    assert (await bed.run(pod, "cat", "/etc/hosts")).splitlines()[-1] == f"{pod.status.podIP}\tone"
    resolver = await bed.run(pod, "cat", "/etc/resolv.conf")
    assert "nameserver 10.213.77.1" in resolver
    assert "search default.fleet.internal fleet.internal" in resolver
    assert "ndots:2" in resolver
    assert (await bed.run(pod, "cat", "/etc/hostname")).strip() == "one"
    await bed.api.admin.delete(pods.Pod, "one", namespace="default")
    await bed.gone()
    assert await bed.host.containerd.runtime.list_sandboxes() == [] or await emptied(bed)


async def emptied(bed: beds.Bed) -> bool:
    for _ in range(200):
        if not await bed.host.containerd.runtime.list_sandboxes():
            return True
        await asyncio.sleep(0.02)
    return False


async def test_a_killed_main_process_restarts_at_once_in_the_same_sandbox(bed: beds.Bed) -> None:
    await bed.pod({"containers": [{"name": "main", "command": ["sh", "-c", "sleep 1000"]}]})
    before = await bed.ready()
    sandboxes = [one.id for one in await bed.host.containerd.runtime.list_sandboxes()]
    await bed.host.containerd.runtime.stop_container(engine_id(before), grace_seconds=0)
    after = await bed.until(lambda pod: beds.is_ready(pod) and main_of(pod).restartCount == 1)
    assert after.status.podIP == before.status.podIP
    assert [one.id for one in await bed.host.containerd.runtime.list_sandboxes()] == sandboxes
    ended = main_of(after).lastState.terminated
    assert ended is not None
    assert (ended.exitCode, ended.reason) == (137, "Error")
    assert ended.containerID == main_of(before).containerID


async def test_a_crash_loop_backs_off_and_says_so(bed: beds.Bed) -> None:
    await bed.pod(
        {"containers": [{"name": "main", "command": ["sh", "-c", "echo sorry >/dev/termination-log; exit 3"]}]}
    )
    pod = await bed.until(
        lambda pod: (
            pod.status.containerStatuses
            and main_of(pod).state.waiting
            and main_of(pod).state.waiting.reason == "CrashLoopBackOff"
        )
    )
    status = main_of(pod)
    assert status.restartCount == 1
    assert status.lastState.terminated is not None
    assert status.lastState.terminated.exitCode == 3
    assert status.lastState.terminated.message == "sorry\n"
    assert pod.status.phase == "Running"
    assert not beds.is_ready(pod)


async def test_pods_that_run_to_their_end(bed: beds.Bed) -> None:
    await bed.pod({"restartPolicy": "Never", "containers": [{"name": "main", "command": ["sh", "-c", "exit 0"]}]})
    await bed.pod(
        {
            "restartPolicy": "OnFailure",
            "containers": [
                {
                    "name": "main",
                    "command": ["sh", "-c", "test -e /v/x && exit 0; touch /v/x; exit 1"],
                    "volumeMounts": [{"name": "v", "mountPath": "/v"}],
                }
            ],
            "volumes": [{"name": "v"}],
        },
        name="two",
    )
    await bed.pod(
        {"restartPolicy": "Never", "containers": [{"name": "main", "command": ["sh", "-c", "exit 7"]}]}, name="three"
    )
    done = await bed.until(lambda pod: pod.status.phase == "Succeeded")
    assert main_of(done).state.terminated is not None
    assert main_of(done).state.terminated.reason == "Completed"
    again = await bed.until(lambda pod: pod.status.phase == "Succeeded", name="two")
    assert main_of(again).restartCount == 1
    failed = await bed.until(lambda pod: pod.status.phase == "Failed", name="three")
    assert main_of(failed).state.terminated is not None
    assert main_of(failed).state.terminated.exitCode == 7


async def test_init_containers_run_in_order_and_sidecars_stay(bed: beds.Bed) -> None:
    mount = [{"name": "v", "mountPath": "/v"}]
    await bed.pod(
        {
            "initContainers": [
                {"name": "first", "command": ["sh", "-c", "echo first >>/v/log"], "volumeMounts": mount},
                {
                    "name": "beside",
                    "restartPolicy": "Always",
                    "command": ["sh", "-c", "echo beside >>/v/log; sleep 1000"],
                    "volumeMounts": mount,
                    "startupProbe": {"exec": {"command": ["cat", "/v/log"]}},
                },
                {"name": "last", "command": ["sh", "-c", "echo last >>/v/log"], "volumeMounts": mount},
            ],
            "containers": [
                {"name": "main", "command": ["sh", "-c", "echo main >>/v/log; sleep 1000"], "volumeMounts": mount}
            ],
            "volumes": [{"name": "v", "emptyDir": {}}],
            "terminationGracePeriodSeconds": 1,
        }
    )
    pod = await bed.ready()
    assert await bed.run(pod, "cat", "/v/log") == "first\nbeside\nlast\nmain\n"
    states = {one.name: one for one in pod.status.initContainerStatuses}
    assert states["first"].state.terminated is not None
    assert states["beside"].state.running is not None
    assert states["beside"].ready
    conditions = {one.type: one.status for one in pod.status.conditions}
    assert conditions == {
        "PodReadyToStartContainers": "True",
        "Initialized": "True",
        "Ready": "True",
        "ContainersReady": "True",
        "PodScheduled": "True",
    }


async def test_memory_above_the_limit_is_an_oom_kill(bed: beds.Bed) -> None:
    await bed.pod(
        {
            "restartPolicy": "Never",
            "containers": [
                {
                    "name": "main",
                    "command": ["perl", "-e", "my $x = 'x' x (200 * 1024 * 1024); sleep 100"],
                    "resources": {"limits": {"memory": "32Mi", "cpu": "500m"}},
                }
            ],
        }
    )
    pod = await bed.until(lambda pod: pod.status.phase == "Failed")
    ended = main_of(pod).state.terminated
    assert ended is not None
    assert (ended.reason, ended.exitCode) == ("OOMKilled", 137)
    assert pod.status.qosClass == "Guaranteed"


async def test_a_stop_runs_the_hook_then_asks_then_forces(bed: beds.Bed) -> None:
    await bed.pod(
        {
            "containers": [
                {
                    "name": "main",
                    "command": ["sh", "-c", "trap 'echo term >>/v/log; exit 0' TERM; while :; do sleep 0.05; done"],
                    "volumeMounts": [{"name": "v", "mountPath": "/v"}],
                    "lifecycle": {
                        "postStart": {"exec": {"command": ["sh", "-c", "echo start >>/v/log"]}},
                        "preStop": {"exec": {"command": ["sh", "-c", "echo stop >>/v/log"]}},
                    },
                },
                {"name": "deaf", "command": ["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"]},
            ],
            "volumes": [{"name": "v", "hostPath": {"path": str(bed.state / "v"), "type": "DirectoryOrCreate"}}],
            "terminationGracePeriodSeconds": 1,
        }
    )
    await bed.ready()
    began = time.monotonic()
    await bed.api.admin.delete(pods.Pod, "one", namespace="default")
    await bed.gone()
    assert time.monotonic() - began >= 1.0
    assert (bed.state / "v" / "log").read_text() == "start\nstop\nterm\n"


async def test_a_failed_start_hook_is_told_in_the_state_of_the_container(bed: beds.Bed) -> None:
    hook = {"postStart": {"exec": {"command": ["sh", "-c", "echo no luck; exit 3"]}}}
    await bed.pod({"containers": [{"name": "main", "lifecycle": hook}], "terminationGracePeriodSeconds": 0})
    pod = await bed.until(
        lambda pod: (
            pod.status.containerStatuses
            and pod.status.containerStatuses[0].state.waiting
            and pod.status.containerStatuses[0].state.waiting.reason == "PostStartHookError"
        )
    )
    status = pod.status.containerStatuses[0]
    assert "no luck" in status.state.waiting.message
    assert status.lastState.terminated is not None


async def test_a_dead_sandbox_is_made_again_with_the_same_address(bed: beds.Bed) -> None:
    await bed.pod({"containers": [{"name": "main", "command": ["sh", "-c", POLITE]}]})
    before = await bed.ready()
    engine = bed.host.containerd.runtime
    sandbox = (await engine.list_sandboxes())[0]
    await engine.stop_sandbox(sandbox.id)
    # The container may have been started once more before the sandbox was seen to be dead.
    after = await bed.until(lambda pod: beds.is_ready(pod) and main_of(pod).restartCount in (1, 2))
    assert after.status.podIP == before.status.podIP
    for _ in range(100):
        left = await engine.list_sandboxes()
        if len(left) == 1:
            break
        await asyncio.sleep(0.05)
    assert [(one.attempt, one.ready) for one in left] == [(1, True)]


async def test_a_changed_image_restarts_in_place(bed: beds.Bed) -> None:
    engine = bed.host.containerd
    await bed.pod({"containers": [{"name": "main", "command": ["sh", "-c", POLITE]}]})
    before = await bed.ready()
    digest = await engine.images.find(beds.image.NAME)
    assert digest is not None
    patch = {"spec": {"containers": [{"name": "main", "image": digest.id}]}}
    await bed.api.admin.patch(pods.Pod, "one", patch, namespace="default", type="strategic")
    after = await bed.until(lambda pod: beds.is_ready(pod) and main_of(pod).restartCount == 1)
    assert after.status.podIP == before.status.podIP


async def test_the_active_deadline_ends_a_pod(bed: beds.Bed) -> None:
    await bed.pod({"activeDeadlineSeconds": 1, "containers": [{"name": "main", "command": ["sh", "-c", POLITE]}]})
    pod = await bed.until(lambda pod: pod.status.phase == "Failed")
    assert pod.status.reason == "DeadlineExceeded"


async def test_a_missing_program_is_a_start_error(bed: beds.Bed) -> None:
    await bed.pod({"containers": [{"name": "main", "command": ["/no/such/program"]}]})
    pod = await bed.until(
        lambda pod: pod.status.containerStatuses and main_of(pod).restartCount == 1 and main_of(pod).state.waiting
    )
    assert main_of(pod).state.waiting is not None
    assert main_of(pod).state.waiting.reason == "RunContainerError"
    ended = main_of(pod).lastState.terminated
    assert ended is not None
    assert (ended.exitCode, ended.reason) == (128, "StartError")


async def test_a_missing_image_waits_with_the_reason(bed: beds.Bed) -> None:
    for name, policy, reason in (("one", "Never", "ErrImageNeverPull"), ("two", "IfNotPresent", "ImagePullBackOff")):
        await bed.pod(
            {"containers": [{"name": "main", "image": "127.0.0.1:9/none:1", "imagePullPolicy": policy}]}, name=name
        )
        await bed.until(
            lambda pod, reason=reason: (
                pod.status.containerStatuses
                and main_of(pod).state.waiting
                and main_of(pod).state.waiting.reason == reason
            ),
            name=name,
        )


async def test_a_container_that_was_only_made_is_cleared_and_made_again(bed: beds.Bed) -> None:
    await bed.pod({"containers": [{"name": "main", "command": ["sh", "-c", POLITE]}]})
    await bed.ready()
    engine = bed.host.containerd.runtime
    states = {one.state for one in await engine.list_containers()}
    assert states == {runtime.State.RUNNING}
