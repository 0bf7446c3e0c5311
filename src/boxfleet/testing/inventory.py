"""What a machine holds of a Fleet's instances, compared with what its API says: each once, and nothing besides."""

import asyncio
import contextlib
import dataclasses
import pathlib
import re
import subprocess
from collections import Counter
from collections.abc import Iterator

from boxfleet.api import address, box, labels, meta, pod, unit, volume_claim
from boxfleet.client import client as clients
from boxfleet.drivers.containerd import connection, runtime
from boxfleet.drivers.dnsmasq import lookup
from boxfleet.kit import cgroup
from boxfleet.planning import marks
from boxfleet.ports import runtime as port
from boxfleet.testing import fleet as fleets

_CGROUPS = pathlib.Path("/sys/fs/cgroup")
_CNI_RESULTS = pathlib.Path("/var/lib/cni/results")
_ENGINE_ID = re.compile(r"[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class World:
    """What the API says and what the engine has, read at about one moment."""

    boxes: list[box.Box]
    units: list[unit.Unit]
    pods: list[pod.Pod]
    addresses: list[address.Address]
    claims: list[volume_claim.PersistentVolumeClaim]
    sandboxes: list[port.SandboxStatus]
    containers: list[port.Container]

    @property
    def uids(self) -> set[str]:
        """The uids of all wanted Pods."""
        return {one.metadata.uid for one in self.pods}

    @property
    def engine_ids(self) -> set[str]:
        """Ids of what the engine has, sandboxes and containers alike."""
        return {one.id for one in self.sandboxes} | {one.id for one in self.containers}


async def look(fleet: fleets.Fleet, client: clients.Client) -> World:
    """Read everything; raises ApiError or RuntimeFault while the server or containerd is away."""
    line = connection.Connection(fleet.run_directory / "containerd.sock")
    try:
        engine = runtime.Runtime(line)
        sandboxes = [await engine.sandbox_status(one.id) for one in await engine.list_sandboxes()]
        containers = await engine.list_containers()
    finally:
        await line.close()
    return World(
        boxes=(await client.list(box.Box)).items,
        units=(await client.list(unit.Unit)).items,
        pods=(await client.list(pod.Pod)).items,
        addresses=(await client.list(address.Address)).items,
        claims=(await client.list(volume_claim.PersistentVolumeClaim)).items,
        sandboxes=sandboxes,
        containers=containers,
    )


async def complaints(fleet: fleets.Fleet, world: World) -> list[str]:
    """Everything that is not as it must be once nothing changes any more; one sentence each."""
    found = [*_objects(world), *_ledger(world), *_engine(world)]
    if found:
        # The rest could only repeat it.
        return found
    found += await asyncio.to_thread(lambda: [*_machine(fleet, world), *_folders(fleet, world)])
    return found + await _names(fleet, world)


def _objects(world: World) -> Iterator[str]:
    """Boxes Ready, each with exactly the instances that it wants."""
    wanted = set()
    for one in world.boxes:
        if one.metadata.deletionTimestamp:
            yield f"box {one.key} is still being deleted"
        elif not meta.is_true(one.status.conditions, "Ready"):
            yield f"box {one.key} is not Ready: {[(c.type, c.reason, c.message) for c in one.status.conditions]}"
        for short, part in one.spec.units.items():
            wanted |= {f"{one.metadata.name}-{short}-{ordinal}" for ordinal in range(part.replicas)}
    there = Counter(one.metadata.name for one in world.pods)
    if set(there) != wanted or any(count > 1 for count in there.values()):
        yield f"pods {sorted(there.elements())}, wanted {sorted(wanted)}"
    units = {f"{one.metadata.name}-{short}" for one in world.boxes for short in one.spec.units}
    if {one.metadata.name for one in world.units} != units:
        yield f"units {sorted(one.metadata.name for one in world.units)}, wanted {sorted(units)}"
    for each in world.pods:
        if each.metadata.deletionTimestamp:
            yield f"pod {each.key} is still being deleted"
        elif not meta.is_true(each.status.conditions, "Ready"):
            yield f"pod {each.key} is not Ready: {each.status.phase} {each.status.containerStatuses}"


def _ledger(world: World) -> Iterator[str]:
    """Each instance has one Address, which its Pod shows, and no Address is anybody else's."""
    held = Counter(f"{one.spec.namespace}/{one.spec.instance}" for one in world.addresses)
    pods = {str(one.key): one for one in world.pods}
    for instance, count in held.items():
        if instance not in pods:
            yield f"an address is leaked: {instance} is no more"
        elif count > 1:
            yield f"{instance} holds {count} addresses"
    by_instance = {f"{one.spec.namespace}/{one.spec.instance}": one.metadata.name for one in world.addresses}
    for name, one in pods.items():
        ledger, shown = by_instance.get(name, ""), one.metadata.annotations.get(labels.ADDRESS, "")
        if not ledger or not ledger == shown == one.status.podIP:
            yield f"{name}: the ledger says {ledger or 'nothing'}, its order {shown}, its status {one.status.podIP}"


def _engine(world: World) -> Iterator[str]:
    """One ready sandbox per Pod with the Pod's address, one running container per container of its spec."""
    by_uid: dict[str, list[port.SandboxStatus]] = {}
    for sandbox in world.sandboxes:
        by_uid.setdefault(sandbox.uid, []).append(sandbox)
        if sandbox.uid not in world.uids:
            yield f"sandbox {sandbox.id[:12]} of {sandbox.name} belongs to no wanted pod"
    for one in world.pods:
        ready = [each for each in by_uid.get(one.metadata.uid, []) if each.ready]
        if len(ready) != 1:
            yield f"{one.key} has {len(ready)} sandboxes that run"
        elif ready[0].ip != one.status.podIP:
            yield f"the sandbox of {one.key} has {ready[0].ip}, its status says {one.status.podIP}"
        running = sorted(
            each.name
            for each in world.containers
            if each.labels.get(marks.POD_UID) == one.metadata.uid and each.state is port.State.RUNNING
        )
        if running != sorted(each.name for each in one.spec.containers):
            yield f"{one.key} runs containers {running}"
    sandboxes = {one.id for one in world.sandboxes}
    for container in world.containers:
        if container.sandbox_id not in sandboxes:
            yield f"container {container.id[:12]} ({container.name}) has no sandbox"


def _machine(fleet: fleets.Fleet, world: World) -> Iterator[str]:
    """Processes, cgroups, mounts, links and namespaces, as the kernel shows them."""
    ready = [one for one in world.sandboxes if one.ready]
    shims = Counter(
        found[1]
        for _, line in fleets.processes(marks=(str(fleet.run_directory),))
        if "containerd-shim" in line and (found := re.search(r"-id ([0-9a-f]{64})", line))
    )
    if set(shims) != {one.id for one in ready}:
        yield f"shims {sorted(one[:12] for one in shims)}, ready sandboxes {sorted(one.id[:12] for one in ready)}"
    known = world.engine_ids
    parents = cgroup.places(fleet.environment["BOXFLEET_CGROUP_PARENT"])
    # One hierarchy (v2), or one for each controller (v1).
    for path in [
        found
        for one in parents
        for at in ("", "*/")
        for top in _CGROUPS.glob(f"{at}{one}")
        for found in cgroup.below(top)
    ]:
        engine_id = _ENGINE_ID.search(path.name)
        if engine_id[0] not in known if engine_id else not any(uid in str(path) for uid in world.uids):
            yield f"leaked cgroup {path}"
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        mount = line.split()[4]
        if not mount.startswith((f"{fleet.state}/", f"{fleet.run_directory}/")):
            continue
        engine_id = _ENGINE_ID.search(mount)
        inside = re.search(rf"^{fleet.state}/agent/pods/([^/]+)", mount)
        if (engine_id and engine_id[0] not in known) or (inside and inside[1] not in world.uids):
            yield f"leaked mount {mount}"
    members = list(pathlib.Path("/sys/class/net", fleet.environment["BOXFLEET_BRIDGE"], "brif").glob("*"))
    if len(members) != len(ready):
        yield f"{len(members)} links on the bridge for {len(ready)} instances"
    spaces = sorted(_namespaces(fleet))
    if spaces != sorted(one.ip for one in ready):
        yield f"network namespaces have {spaces}, instances {sorted(one.ip for one in ready)}"
    for result in network_results(fleet.environment["BOXFLEET_BRIDGE"]):
        engine_id = _ENGINE_ID.search(result.name)
        if engine_id and engine_id[0] not in known:
            yield f"leaked network result {result}"


def network_results(bridge: str) -> list[pathlib.Path]:
    """What the CNI library remembers of sandboxes on a bridge."""
    found = []
    for result in _CNI_RESULTS.glob("*"):
        # Others' come and go.
        with contextlib.suppress(FileNotFoundError):
            if bridge in result.read_text():
                found.append(result)
    return found


def _namespaces(fleet: fleets.Fleet) -> Iterator[str]:
    """The addresses that each sandbox's network namespace has, or what is wrong with it."""
    for path in (fleet.run_directory / "containerd/io.containerd.grpc.v1.cri/netns").glob("*"):
        said = subprocess.run(
            ["nsenter", f"--net={path}", "ip", "-4", "-oneline", "address", "show", "scope", "global"],
            capture_output=True,
            text=True,
            check=False,
        )
        yield ",".join(re.findall(r"inet (\S+)/", said.stdout)) or f"nothing in {path.name} {said.stderr.strip()}"


def _folders(fleet: fleets.Fleet, world: World) -> Iterator[str]:
    """What the agent keeps on disk: exactly what is wanted."""
    agent = fleet.state / "agent"
    claims = {f"{one.metadata.namespace}_{one.metadata.name}" for one in world.claims}
    logs = {f"{one.metadata.namespace}_{one.metadata.name}_{one.metadata.uid}" for one in world.pods}
    assigned = {f"{one.metadata.namespace}_{one.metadata.name}" for one in world.pods}
    for what, there, wanted in (
        ("records", {path.stem for path in (agent / "pods").glob("*.json")}, world.uids),
        ("folders of pods", {path.name for path in (agent / "pods").glob("*/")}, world.uids),
        ("volumes", {path.name for path in (agent / "volumes").glob("*/")}, claims),
        ("logs", {path.name for path in (agent / "logs").glob("*/")}, logs),
        ("assignments", {path.name for path in (fleet.state / "network/addresses").glob("[!.]*")}, assigned),
    ):
        if there != wanted:
            yield f"{what}: {sorted(there - wanted)} too many, {sorted(wanted - there)} missing"


async def _names(fleet: fleets.Fleet, world: World) -> list[str]:
    """Every instance and every Unit answers to its name."""
    server = ".".join(fleet.environment["BOXFLEET_CIDR"].split(".")[:2]) + ".0.1"
    wanted: dict[str, set[str]] = {}
    for one in world.addresses:
        for name in (one.spec.domain, one.spec.unitDomain):
            wanted.setdefault(name, set()).add(one.metadata.name)
    found = []
    for name, right in sorted(wanted.items()):
        said = await lookup.addresses(name, server=server, port=53, space=None, patience=5.0)
        if said is None or sorted(said) != sorted(right):
            found.append(f"{name} leads to {said}, not {sorted(right)}")
    return found
