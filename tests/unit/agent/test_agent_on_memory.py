"""The whole agent on an imagined runtime and a real API in process: what must hold whoever dies."""

import asyncio
import contextlib
import dataclasses
import pathlib
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from structlog import testing

from boxfleet.agent import agent as agents
from boxfleet.agent import ends, settings, starting
from boxfleet.api import address, address_pool, config, event, lease, meta, namespace, node, service_account
from boxfleet.api import pod as pods
from boxfleet.client import client, errors
from boxfleet.kit import clock
from boxfleet.ports import network, runtime
from boxfleet.testing import cuttable, server
from boxfleet.testing import runtime as memory

pytestmark = pytest.mark.anyio

IMAGE = "x/app:1"


class Network:
    """Remembers assignments; the runtime gives sandboxes what is assigned."""

    def __init__(self) -> None:
        self.assigned: dict[tuple[str, str], str] = {}
        self.fault = ""

    async def prepare(self, pools: list[network.PoolNetwork]) -> None:
        if self.fault:
            raise network.NetworkFault(self.fault)

    async def missing(self) -> str:
        return ""

    async def assign(self, *, namespace: str, name: str, address: str, pool: str) -> None:
        self.assigned[namespace, name] = address

    async def unassign(self, *, namespace: str, name: str) -> None:
        self.assigned.pop((namespace, name), None)

    async def remove(self) -> None: ...


class Names:
    """A name server that only has an address."""

    address = "10.88.0.1"

    async def start(self, *, address: str, domain: str) -> None: ...

    async def publish(self, records: frozenset[network.Record]) -> None: ...

    async def stop(self) -> None: ...


def given(ip: str, instance: str) -> address.Address:
    spec = address.AddressSpec(pool="default", namespace="default", instance=instance, reserved=True)
    return address.Address(metadata=meta.ObjectMeta(name=ip), spec=spec)


@dataclasses.dataclass(kw_only=True)
class Bed:
    api: server.Api
    via: cuttable.Cuttable
    engine: memory.MemoryRuntime
    images: memory.MemoryImages
    network: Network
    folder: pathlib.Path
    agent: agents.Agent = dataclasses.field(init=False)
    task: asyncio.Task[None] | None = None
    node_check: float = 10.0
    resources: dict[str, str] = dataclasses.field(default_factory=dict)
    disk_pressure: int = 0

    def start(self) -> None:
        wish = settings.Settings(
            node=server.NODE,
            state=str(self.folder / "agent"),
            logs=str(self.folder / "logs"),
            cgroup_root=str(self.folder / "cgroup"),
            node_check=self.node_check,
            resources=self.resources,
            disk_pressure=self.disk_pressure,
            shed_every=0.05,
        )
        made = agents.Agent(
            wish,
            api=client.Client(self.via),
            engine=self.engine,
            images=self.images,
            network=self.network,
            names=Names(),
            clock=clock.SystemClock(),
        )
        self.agent = made
        self.task = asyncio.create_task(made.run())

    async def kill(self) -> None:
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task
            self.task = None

    async def pod(self, name: str, number: int, **spec: Any) -> None:
        body = {
            "metadata": {
                "name": name, "namespace": "default", "annotations": {"boxfleet.dev/address": f"10.88.0.{number}"},
            },
            "spec": {"nodeName": server.NODE, "containers": [{"name": "main", "image": IMAGE}], **spec},
        }  # fmt: skip
        with contextlib.suppress(errors.AlreadyExists):
            await self.api.admin.create(given(f"10.88.0.{number}", name))
        await self.api.admin.create_raw(pods.Pod, body)

    async def ready(self, name: str) -> bool:
        pod = await self.api.admin.get(pods.Pod, name, namespace="default")
        return meta.is_true(pod.status.conditions, "Ready")


async def until(test: Callable[[], Any], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        result = test()
        if await result if asyncio.iscoroutine(result) else result:
            return
        assert time.monotonic() < deadline, "not reached in time"
        await asyncio.sleep(0.005)


@pytest.fixture
async def bed(tmp_path: pathlib.Path) -> AsyncIterator[Bed]:
    (tmp_path / "cgroup" / "cpu").mkdir(parents=True)
    given = Network()
    images = memory.MemoryImages([IMAGE])
    engine = memory.MemoryRuntime(images, address=lambda config: given.assigned[config.namespace, config.name])
    async with server.running(tmp_path) as api:
        for name in ("default", "kube-node-lease"):
            with contextlib.suppress(errors.AlreadyExists):
                await api.admin.create(namespace.Namespace(metadata=meta.ObjectMeta(name=name)))
        await api.admin.create(
            service_account.ServiceAccount(
                metadata=meta.ObjectMeta(name="default", namespace="default"), automountServiceAccountToken=False
            )
        )
        spec = address_pool.AddressPoolSpec(cidr="10.88.0.0/24")
        await api.admin.create(address_pool.AddressPool(metadata=meta.ObjectMeta(name="default"), spec=spec))
        via = cuttable.Cuttable(api.node._via)
        made = Bed(api=api, via=via, engine=engine, images=images, network=given, folder=tmp_path)
        made.start()
        try:
            yield made
        finally:
            await made.kill()


async def test_without_a_server_the_agent_goes_on_from_disk(bed: Bed) -> None:
    await bed.api.admin.create(
        config.ConfigMap(metadata=meta.ObjectMeta(name="m", namespace="default"), data={"A": "1"})
    )
    container = {"name": "main", "image": IMAGE, "envFrom": [{"configMapRef": {"name": "m"}}]}
    await bed.pod("one", 5, containers=[container])
    await until(lambda: bed.ready("one"))
    bed.via.cut = True
    await bed.kill()
    (first,) = bed.engine.containers
    bed.engine.end(first, exit_code=1)
    bed.start()
    await until(lambda: [one.state for one in bed.engine.containers.values()][1:] == [runtime.State.RUNNING])
    second = next(one for one in bed.engine.containers.values() if one.id != first)
    assert second.attempt == 1
    assert second.sandbox_id == bed.engine.containers[first].sandbox_id
    assert bed.engine.container_configs[second.id].env["A"] == "1"
    bed.via.cut = False

    async def reported() -> bool:
        pod = await bed.api.admin.get(pods.Pod, "one", namespace="default")
        return pod.status.containerStatuses[0].restartCount == 1 and await bed.ready("one")

    await until(reported)


async def test_without_a_server_a_sandbox_comes_back_with_its_address(bed: Bed) -> None:
    await bed.pod("one", 5)
    await until(lambda: bed.ready("one"))
    bed.via.cut = True
    await bed.kill()
    bed.engine.sandboxes.clear()
    bed.engine.containers.clear()
    bed.start()
    await until(lambda: [one.state for one in bed.engine.containers.values()] == [runtime.State.RUNNING])
    assert bed.network.assigned == {("default", "one"): "10.88.0.5"}


async def test_how_a_container_ended_is_shown_after_its_host_was_down(bed: Bed) -> None:
    await bed.pod("one", 5)
    await until(lambda: bed.ready("one"))
    await bed.kill()
    (first,) = bed.engine.containers.values()
    bed.engine.end(first.id, exit_code=7)
    (sandbox,) = bed.engine.sandboxes.values()
    ended = await bed.engine.container_status(first.id)
    # As `boxfleet down` does; then the agent begins without a server.
    ends.remember(bed.folder / "agent", {sandbox.uid: [ended], "gone": [ended]})
    bed.engine.sandboxes.clear()
    bed.engine.containers.clear()
    bed.via.cut = True
    bed.start()
    await until(lambda: [one.state for one in bed.engine.containers.values()] == [runtime.State.RUNNING])
    bed.via.cut = False

    async def shown(restarts: int) -> bool:
        pod = await bed.api.admin.get(pods.Pod, "one", namespace="default")
        one = pod.status.containerStatuses[0]
        last = one.lastState.terminated
        return one.ready and one.restartCount == restarts and last is not None and last.exitCode == 7

    await until(lambda: shown(1))
    # It is still known when only the agent begins anew.
    await bed.kill()
    bed.start()
    await bed.api.admin.patch(pods.Pod, "one", {"metadata": {"annotations": {"a": "b"}}}, namespace="default")
    await until(lambda: shown(1))


async def test_nobody_gets_an_address_by_writing_it_into_a_pod(bed: Bed) -> None:
    await bed.pod("victim", 5)
    await until(lambda: bed.ready("victim"))
    await bed.pod("thief", 5)
    await bed.api.admin.create(given("10.88.0.7", "another"))
    await bed.pod("squatter", 7)

    async def refused() -> bool:
        found = (await bed.api.admin.list(event.Event)).items
        told = {one.involvedObject.name: one.message for one in found if one.reason == "AddressRefused"}
        return all("is not this pod's" in told.get(name, "") for name in ("thief", "squatter"))

    await until(refused)
    assert [one.name for one in bed.engine.sandboxes.values()] == ["victim"]
    assert bed.network.assigned == {("default", "victim"): "10.88.0.5"}


async def test_a_gate_that_opens_late_is_heard_among_our_own_reports(bed: Bed) -> None:
    await bed.pod("gated", 5, readinessGates=[{"conditionType": "example.com/g"}])

    async def waits_for_the_gate() -> bool:
        found = await bed.api.admin.get(pods.Pod, "gated", namespace="default")
        return meta.is_true(found.status.conditions, "ContainersReady")

    await until(waits_for_the_gate)
    assert not await bed.ready("gated")
    gate = meta.Condition(type="example.com/g", status="True", lastTransitionTime="2026-01-01T00:00:00Z")
    await bed.api.admin.put_condition(await bed.api.admin.get(pods.Pod, "gated", namespace="default"), gate)
    await until(lambda: bed.ready("gated"))


async def test_nothing_of_a_pod_is_prepared_before_it_has_its_address(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, prepared = starting.Starter.volumes, []

    async def watched(self: starting.Starter, record: Any, *, ip: str) -> None:
        prepared.append(ip)
        await real(self, record, ip=ip)

    monkeypatch.setattr(starting.Starter, "volumes", watched)
    spec = {"nodeName": server.NODE, "containers": [{"name": "main", "image": IMAGE}]}
    await bed.api.admin.create_raw(pods.Pod, {"metadata": {"name": "late", "namespace": "default"}, "spec": spec})

    async def seen() -> bool:
        return bool((await bed.api.admin.get(pods.Pod, "late", namespace="default")).status.containerStatuses)

    await until(seen)
    await bed.api.admin.create(given("10.88.0.5", "late"))
    marks = {"metadata": {"annotations": {"boxfleet.dev/address": "10.88.0.5"}}}
    await bed.api.admin.patch(pods.Pod, "late", marks, namespace="default")
    await until(lambda: bed.ready("late"))
    assert set(prepared) == {"10.88.0.5"}


async def test_a_node_that_somebody_deleted_comes_back_when_its_agent_starts(bed: Bed) -> None:
    await bed.kill()
    bed.node_check = 0.05
    bed.start()

    async def there() -> bool:
        found = await bed.api.admin.find(node.Node, server.NODE)
        return found is not None and bool(found.status.conditions)

    async def has_lease() -> bool:
        found = await bed.api.admin.find(lease.Lease, server.NODE, namespace="kube-node-lease")
        return found is not None and found.metadata.ownerReferences[0].name == server.NODE

    await until(there)
    await until(has_lease)
    with testing.capture_logs() as logged:
        await bed.api.admin.delete(node.Node, server.NODE)
        await until(lambda: any(each["event"] == "this Node was deleted" for each in logged))
    assert await bed.api.admin.find(node.Node, server.NODE) is None
    await bed.kill()
    bed.start()
    await until(there)


async def test_instances_end_when_their_host_is_no_node_any_more(bed: Bed) -> None:
    await bed.pod("one", 5)
    await until(lambda: bed.ready("one"))
    bed.via.cut = True
    bed.agent.leave()
    await until(lambda: not bed.engine.sandboxes and not bed.network.assigned)


async def test_a_sandbox_that_nobody_wants_is_removed(bed: Bed) -> None:
    await bed.kill()
    bed.network.assigned["default", "ghost"] = "10.88.0.9"
    await bed.engine.run_sandbox(runtime.SandboxConfig(name="ghost", namespace="default", uid="gone"))
    bed.start()
    await until(lambda: not bed.engine.sandboxes)


async def test_a_pod_with_the_name_of_one_that_still_stops_waits_for_it(bed: Bed) -> None:
    await bed.pod("one", 5)
    await until(lambda: bed.ready("one"))
    await bed.api.admin.delete(pods.Pod, "one", namespace="default", grace_seconds=0)
    with contextlib.suppress(errors.NotFound):
        await bed.api.admin.get(pods.Pod, "one", namespace="default")
    await bed.pod("one", 5)
    await until(lambda: bed.ready("one"))
    ready = [one for one in bed.engine.sandboxes.values() if one.ready]
    assert len(ready) == 1
    calls = [name for name, _ in bed.engine.calls if name in ("run_sandbox", "stop_sandbox")]
    assert calls[:3] == ["run_sandbox", "stop_sandbox", "run_sandbox"]


async def test_killed_at_any_moment_nothing_runs_twice_and_nothing_is_left(bed: Bed) -> None:
    chance = random.Random(7)
    for number in range(6):
        await bed.pod(f"p{number}", 20 + number, terminationGracePeriodSeconds=1)
    for _ in range(25):
        await asyncio.sleep(chance.random() * 0.03)
        await bed.kill()
        for name in {one.name for one in bed.engine.sandboxes.values()}:
            running = [
                one
                for one in bed.engine.containers.values()
                if one.state is runtime.State.RUNNING and bed.engine.sandboxes[one.sandbox_id].name == name
            ]
            assert len(running) <= 1, "an instance runs twice"
        bed.start()
    for number in range(6):
        await until(lambda number=number: bed.ready(f"p{number}"))  # type: ignore[misc]
    assert len([one for one in bed.engine.sandboxes.values() if one.ready]) == 6
    for number in range(6):
        await bed.api.admin.delete(pods.Pod, f"p{number}", namespace="default")
        await asyncio.sleep(chance.random() * 0.01)
        await bed.kill()
        bed.start()
    await until(lambda: not bed.engine.sandboxes)
    await until(lambda: not list((bed.folder / "agent" / "pods").iterdir()))
    assert not bed.network.assigned
    assert not (await bed.api.admin.list(pods.Pod)).items


async def test_a_runtime_that_is_down_makes_the_node_not_ready(bed: Bed) -> None:
    from boxfleet.api import node

    async def ready() -> str:
        found = await bed.api.admin.find(node.Node, server.NODE)
        one = next((c for c in found.status.conditions if c.type == "Ready"), None) if found else None
        return one.status if one else ""

    async def is_true() -> bool:
        return await ready() == "True"

    async def is_false() -> bool:
        return await ready() == "False"

    await until(is_true)
    bed.engine.down = True
    bed.engine.reconnect()
    await until(is_false)
    bed.engine.down = False
    await until(is_true)


async def test_a_node_offers_what_it_is_told_to_and_what_others_say_of_it_stays(bed: Bed) -> None:
    async def offered(**wanted: str | None) -> bool:
        mine = await bed.api.admin.find(node.Node, server.NODE)
        amounts = [] if mine is None else [mine.status.capacity, mine.status.allocatable]
        return bool(amounts) and all(
            each.get(f"{name}.example/device") == amount for each in amounts for name, amount in wanted.items()
        )

    await bed.kill()
    bed.resources = {"own.example/device": "2"}
    bed.start()
    await until(lambda: offered(own="2"))
    theirs = {"theirs.example/device": "1"}
    change = {"status": {"capacity": theirs, "allocatable": theirs}}
    await bed.api.admin.patch(node.Node, server.NODE, change, subresource="status")
    await bed.kill()
    bed.resources = {"own.example/device": "0"}
    bed.start()
    await until(lambda: offered(own=None, theirs="1"))


async def evicted(bed: Bed, name: str) -> bool:
    pod = await bed.api.admin.get(pods.Pod, name, namespace="default")
    return (pod.status.phase, pod.status.reason) == ("Failed", "Evicted")


async def test_under_memory_pressure_the_right_instances_go_one_by_one(bed: Bed) -> None:
    asks = {"resources": {"requests": {"memory": "2Gi"}}}
    used = {"small": 2**20, "within": 2**30, "over": 500 * 2**20, "vital": 3 * 2**30}
    bed.engine.uses = {name: (amount, 0) for name, amount in used.items()}
    await bed.pod("small", 5)
    await bed.pod("within", 6, containers=[{"name": "main", "image": IMAGE, **asks}])
    await bed.pod("over", 7)
    await bed.pod("vital", 8, priorityClassName="system-node-critical")
    for name in used:
        await until(lambda name=name: bed.ready(name))  # type: ignore[misc]
    told = {one.name: sandbox for sandbox, one in bed.engine.sandboxes.items()}
    memory_files = bed.folder / "cgroup/memory/boxfleet"
    memory_files.mkdir(parents=True)
    (memory_files / "memory.limit_in_bytes").write_text(str(2**30))
    (memory_files / "memory.usage_in_bytes").write_text(str(2**30 - 2**20))
    for name in ("over", "within"):
        await until(lambda name=name: evicted(bed, name))  # type: ignore[misc]
    stops = [what for call, what in bed.engine.calls if call == "stop_sandbox"]
    assert stops == [told["over"], told["within"]]
    # Nothing of them is left but their logs, and they do not come back.
    await until(lambda: {one.name for one in bed.engine.sandboxes.values()} == {"small", "vital"})
    over = await bed.api.admin.get(pods.Pod, "over", namespace="default")
    assert over.status.message == ("The node was low on resource: memory. The instance used 500Mi, its request is 0.")
    assert meta.is_true(over.status.conditions, "DisruptionTarget")
    found = [one for one in (await bed.api.admin.list(event.Event)).items if one.reason == "Evicted"]
    assert {one.involvedObject.name for one in found} == {"over", "within"}
    mine = await bed.api.admin.get(node.Node, server.NODE)
    pressure = meta.find_condition(mine.status.conditions, "MemoryPressure")
    assert pressure is not None and pressure.status == "True"
    assert not await evicted(bed, "small") and not await evicted(bed, "vital")
    (memory_files / "memory.usage_in_bytes").write_text("0")
    await bed.kill()
    bed.start()
    await until(lambda: bed.ready("small"))
    assert await evicted(bed, "over")


async def test_under_disk_pressure_what_nobody_needs_goes_before_instances(bed: Bed) -> None:
    bed.engine.uses = {"large": (0, 2**40), "small": (0, 0)}
    await bed.pod("small", 5)
    await bed.pod("large", 6)
    container = {"name": "main", "image": IMAGE, "command": ["sh", "-c", "exit 0"]}
    await bed.pod("done", 7, restartPolicy="Never", containers=[container])

    async def is_done() -> bool:
        return (await bed.api.admin.get(pods.Pod, "done", namespace="default")).status.phase == "Succeeded"

    await until(is_done)
    for name in ("small", "large"):
        await until(lambda name=name: bed.ready(name))  # type: ignore[misc]
    bed.images.add("x/unused:1")
    await bed.kill()
    bed.disk_pressure = 101
    bed.start()
    await until(lambda: "x/unused:1" not in bed.images.images)
    await until(lambda: evicted(bed, "large"))
    assert IMAGE in bed.images.images
    await until(lambda: [one.name for one in bed.engine.sandboxes.values()] == ["small"])
    assert await is_done()
    ended = await bed.api.admin.get(pods.Pod, "done", namespace="default")
    assert ended.status.containerStatuses[0].state.terminated is not None
    assert await bed.ready("small")


async def test_the_node_says_why_its_network_fails_now(bed: Bed) -> None:
    async def says(words: str) -> bool:
        mine = await bed.api.admin.find(node.Node, server.NODE)
        ready = meta.find_condition(mine.status.conditions, "Ready") if mine is not None else None
        return ready is not None and words in ready.message

    await bed.kill()
    bed.network.fault = "no bridge"
    bed.start()
    await until(lambda: says("no bridge"))
    bed.network.fault = "no plug-in"
    await until(lambda: says("no plug-in"))
    bed.network.fault = ""
    await until(lambda: says("ready to run"))


async def test_a_container_that_joined_is_adopted_by_the_next_agent_and_never_started_again(bed: Bed) -> None:
    await bed.pod("one", 5)
    await until(lambda: bed.ready("one"))
    look = {"name": "look", "image": IMAGE, "targetContainerName": "main"}
    gone = {"name": "gone", "image": "x/none:1", "imagePullPolicy": "Never"}
    join = {"spec": {"ephemeralContainers": [look, gone]}}
    await bed.api.admin.patch(
        pods.Pod, "one", join, namespace="default", subresource="ephemeralcontainers", type="strategic"
    )

    async def state(name: str) -> pods.ContainerState:
        pod = await bed.api.admin.get(pods.Pod, "one", namespace="default")
        found = pod.status.find_container(name)
        return found.state if found is not None else pods.ContainerState()

    async def joined() -> bool:
        waiting = (await state("gone")).waiting
        return (await state("look")).running is not None and waiting is not None and waiting.reason != "PodInitializing"

    async def told() -> bool:
        found = (await bed.api.admin.list(event.Event)).items
        return any("x/none:1" in one.message and one.type == "Warning" for one in found)

    def looks() -> list[runtime.ContainerStatus]:
        return [one for one in bed.engine.containers.values() if one.name == "look"]

    await until(joined)
    await until(told)
    main = next(one for one in bed.engine.containers.values() if one.name == "main")
    assert bed.engine.container_configs[looks()[0].id].target_id == main.id
    assert await bed.ready("one")
    await bed.kill()
    bed.start()
    await until(joined)
    assert [one.attempt for one in looks()] == [0]
    bed.engine.end(looks()[0].id, exit_code=3)

    async def ended() -> bool:
        found = (await state("look")).terminated
        return found is not None and found.exitCode == 3

    await until(ended)
    await bed.kill()
    bed.start()
    # Another one joins after it, so the agent has looked at all.
    join = {"spec": {"ephemeralContainers": [{"name": "next", "image": IMAGE}]}}
    await bed.api.admin.patch(
        pods.Pod, "one", join, namespace="default", subresource="ephemeralcontainers", type="strategic"
    )

    async def next_runs() -> bool:
        return (await state("next")).running is not None

    await until(next_runs)
    assert [(one.state, one.attempt) for one in looks()] == [(runtime.State.EXITED, 0)]
    assert await bed.ready("one")
    await bed.api.admin.delete(pods.Pod, "one", namespace="default", grace_seconds=1)
    await until(lambda: not bed.engine.containers)
