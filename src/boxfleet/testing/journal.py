"""Changes of Boxes, and what of them was acknowledged; their instances prove that they are alone."""

import asyncio
import contextlib
import pathlib
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

from boxfleet.api import box, pod
from boxfleet.client import client as clients
from boxfleet.client import errors
from boxfleet.testing import tools

# Takes a lock by its name and one by its address for as long as it runs, and tells who held them already.
INSTANCE = """
use IO::Socket::INET;
$SIG{TERM} = sub { sleep 1; exit 0 };
sub note { open(my $log, '>>', '/locks/log') or die; syswrite $log, "@_\\n" }
for my $what ($ENV{POD}, $ENV{IP}) {
  open(my $lock, '>>', "/locks/$what") or die;
  note("overlap $what") unless flock $lock, 6;
  push @held, $lock;
}
note("start $ENV{POD} $ENV{IP}");
my $server = IO::Socket::INET->new(LocalPort => 8080, Listen => 5, ReuseAddr => 1) or die;
while (1) { my $caller = $server->accept }
"""


def unit(locks: pathlib.Path, step: int, *, replicas: int = 1, data: bool = False, after: str = "") -> dict[str, Any]:
    """A Unit whose instances listen, and prove that they are alone."""
    fields = {"POD": "metadata.name", "IP": "status.podIP"}
    container: dict[str, Any] = {
        "name": "main",
        "image": tools.IMAGE,
        "command": ["perl", "-e", INSTANCE],
        "env": [
            {"name": "STEP", "value": str(step)},
            *({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in fields.items()),
        ],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
        "volumeMounts": [{"name": "locks", "mountPath": "/locks"}],
    }
    made: dict[str, Any] = {
        "replicas": replicas,
        "dependsOn": [{"unit": after}] if after else [],
        "template": {
            "spec": {
                "terminationGracePeriodSeconds": 2,
                "containers": [container],
                "volumes": [{"name": "locks", "hostPath": {"path": str(locks)}}],
            }
        },
    }
    if data:
        container["volumeMounts"].append({"name": "data", "mountPath": "/data"})
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
        made["volumeClaimTemplates"] = [{"metadata": {"name": "data"}, "spec": claim}]
    return made


def shop(name: str, locks: pathlib.Path, *, step: int = 0, replicas: int = 1) -> dict[str, Any]:
    """A Box of two Units, the second after the first."""
    return {
        "apiVersion": "boxfleet.dev/v1",
        "kind": "Box",
        "metadata": {"name": name, "namespace": "default", "annotations": {"step": str(step)}},
        "spec": {
            "units": {
                "db": unit(locks, step, data=True),
                "web": unit(locks, step, replicas=replicas, after="db"),
            }
        },
    }


class Journal:
    """Changes Boxes, and knows each change that was acknowledged: a Box's step is the number of its last one."""

    def __init__(self, client: clients.Client, locks: pathlib.Path, dice: random.Random) -> None:
        self._client = client
        self._locks = locks
        self._dice = dice
        self._step = 0
        self.changes = 0
        self.boxes: dict[str, int] = {}
        self.ever: set[str] = set()

    async def change_until(self, enough: asyncio.Event) -> None:
        """Make changes, each repeated until it is acknowledged."""
        while not enough.is_set():
            await self._change()
            self.changes += 1
            await asyncio.sleep(self._dice.uniform(0.05, 0.8))

    async def _change(self) -> None:
        name = self._dice.choice(["ash", "elm", "fir", "oak"])
        self._step += 1
        if name not in self.boxes:
            await self._until_acknowledged(self._create, name)
            return
        await self._until_acknowledged(self._check, name)
        what = self._dice.choice(
            [self._template, self._scale, self._scale, self._pod, self._pod_by_force, self._remove]
        )
        await self._until_acknowledged(what, name)

    async def lost(self) -> list[str]:
        """Acknowledged writes that the API does not show."""
        found = {one.metadata.name: one for one in (await self._client.list(box.Box)).items}
        shown = {name: int(one.metadata.annotations["step"]) for name, one in found.items()}
        return [] if shown == self.boxes else [f"boxes with steps {shown}, acknowledged {self.boxes}"]

    async def _until_acknowledged(self, what: Callable[[str, float], Awaitable[None]], name: str) -> None:
        end = time.monotonic() + 60
        # The dice must not be thrown again for a repetition.
        luck = self._dice.random()
        while True:
            try:
                await what(name, luck)
                return
            except errors.Unavailable:
                assert time.monotonic() < end, "the server does not come back"
                await asyncio.sleep(0.1)

    async def _create(self, name: str, luck: float) -> None:
        wanted = shop(name, self._locks, step=self._step, replicas=1 + int(luck * 3))
        try:
            await self._client.create_raw(box.Box, wanted)
        except errors.AlreadyExists:
            # The first try was done, but its answer lost.
            found = await self._client.get(box.Box, name, namespace="default")
            assert found.metadata.annotations["step"] == str(self._step)
        self.boxes[name] = self._step
        self.ever.add(name)

    async def _check(self, name: str, _luck: float) -> None:
        found = await self._client.get(box.Box, name, namespace="default")
        assert int(found.metadata.annotations["step"]) == self.boxes[name]

    async def _template(self, name: str, _luck: float) -> None:
        units = {"db": unit(self._locks, self._step, data=True), "web": unit(self._locks, self._step, after="db")}
        for each in units.values():
            del each["replicas"]
        await self._patch(name, units)

    async def _scale(self, name: str, luck: float) -> None:
        await self._patch(name, {"web": {"replicas": int(luck * 4)}})

    async def _patch(self, name: str, units: dict[str, Any]) -> None:
        change = {"metadata": {"annotations": {"step": str(self._step)}}, "spec": {"units": units}}
        await self._client.patch(box.Box, name, change, namespace="default")
        self.boxes[name] = self._step

    async def _pod(self, name: str, luck: float, *, grace: int | None = None) -> None:
        found = await self._client.list(pod.Pod, namespace="default", labels=f"boxfleet.dev/box={name}")
        if found.items:
            victim = found.items[int(luck * len(found.items))]
            with contextlib.suppress(errors.NotFound):
                info = victim.metadata
                await self._client.delete(pod.Pod, info.name, namespace="default", uid=info.uid, grace_seconds=grace)

    async def _pod_by_force(self, name: str, luck: float) -> None:
        await self._pod(name, luck, grace=0)

    async def _remove(self, name: str, luck: float) -> None:
        found = await self._client.list(pod.Pod, namespace="default", labels=f"boxfleet.dev/box={name}")
        with contextlib.suppress(errors.NotFound):
            await self._client.delete(box.Box, name, namespace="default")
        self.boxes.pop(name, None)
        if luck < 0.5:
            # By force as well: the addresses are free for the next Box while they are still in use.
            for one in found.items:
                with contextlib.suppress(errors.NotFound, errors.Conflict):
                    info = one.metadata
                    await self._client.delete(pod.Pod, info.name, namespace="default", uid=info.uid, grace_seconds=0)
