"""A host's right to run: promised before it counts, and gained again only when the server says what is left."""

import json
import pathlib
import secrets
from collections.abc import AsyncIterator

import pytest

from boxfleet.agent import fencing
from boxfleet.api import labels, meta, pod
from boxfleet.kit import daemon
from boxfleet.planning import takeover

pytestmark = pytest.mark.anyio


class Bed:
    """A fence with its real watchdog, over a cgroup that nothing is in; `now` is the agent's clock."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.run, self.memory = folder / "run", folder / "state" / "fence"
        self.run.mkdir()
        self.memory.parent.mkdir()
        # The watchdog has the machine's clock: in its eyes none of these deadlines comes.
        self.now = 1e9
        self.told: list[str] = []
        self.kept = ["kept"]
        self.place = f"/nowhere-{secrets.token_hex(4)}"
        self.fence = self.fresh()

    def fresh(self) -> fencing.Fence:
        """As an agent that starts has it."""

        async def resync() -> None:
            self.told.append("asked")

        return fencing.Fence(
            folder=str(self.run),
            memory=self.memory,
            cgroup_parent=self.place,
            kept=lambda: self.kept,
            resync=resync,
            opened=lambda: self.told.append("opened"),
            now=lambda: self.now,
        )

    async def renew(self, mode: str = labels.ARMED) -> str:
        said = await self.fence.promise()
        await self.fence.renewed(self.now, promised=bool(said), mode=mode)
        return said

    @property
    def may_run(self) -> bool:
        owner = meta.OwnerReference(apiVersion="boxfleet.dev/v1", kind="Unit", name="web", uid="1", controller=True)
        mine = pod.Pod(metadata=meta.ObjectMeta(name="a", ownerReferences=[owner]), spec=pod.PodSpec(containers=[]))
        return self.fence.may_run(mine)


@pytest.fixture
async def bed(tmp_path: pathlib.Path) -> AsyncIterator[Bed]:
    made = Bed(tmp_path)
    yield made
    await daemon.kill(made.run / "fence.pid")


async def test_nothing_is_promised_before_it_is_asked_for(bed: Bed) -> None:
    assert await bed.renew(mode="") == ""
    assert not bed.memory.exists() and not bed.fence.promised
    bed.now += 1000
    assert bed.may_run
    assert await bed.renew() == "" and bed.fence.is_asked
    assert await bed.renew() == f"{takeover.FENCE_AFTER:g}"
    assert bed.memory.exists() and daemon.find(bed.run / "fence.pid")
    order = {"deadline": bed.now + takeover.FENCE_AFTER, "term": takeover.TERM_FOR, "kept": ["kept"]}
    assert json.loads((bed.run / "fence.json").read_text()) == order
    bed.kept = ["kept", "another"]
    bed.now += 1
    bed.fence.note()
    assert json.loads((bed.run / "fence.json").read_text()) == order | {"kept": bed.kept}


async def test_the_right_ends_and_comes_back_when_the_server_has_said_what_is_left(bed: Bed) -> None:
    await bed.renew()
    await bed.renew()
    bed.now += takeover.FENCE_AFTER - 0.1
    assert bed.may_run
    bed.now += 0.2
    assert not bed.may_run
    # Its instances are being made elsewhere: nothing is begun, however often it renews.
    await bed.renew(mode=labels.DECIDED)
    assert not bed.may_run and bed.told == []
    assert json.loads((bed.run / "fence.json").read_text())["deadline"] < bed.now
    await bed.renew()
    assert bed.may_run and bed.told == ["asked", "opened"]


async def test_an_agent_that_starts_knows_what_was_promised(bed: Bed) -> None:
    await bed.renew()
    await bed.renew()
    bed.fence = bed.fresh()
    assert bed.may_run
    # After a reboot no deadline is known.
    (bed.run / "fence.json").unlink()
    bed.fence = bed.fresh()
    assert not bed.may_run
    bed.fence.refused()
    assert not bed.may_run


async def test_a_server_that_is_down_ends_nothing(bed: Bed) -> None:
    await bed.renew()
    await bed.renew()
    for _ in range(10):
        bed.now += takeover.FENCE_AFTER - 1
        bed.fence.refused()
        assert bed.may_run
    bed.now += takeover.FENCE_AFTER + 1
    # Too late: somebody may have decided before it went down.
    bed.fence.refused()
    assert not bed.may_run


async def test_the_promise_is_taken_back_once_the_server_has_a_lease_without_it(bed: Bed) -> None:
    await bed.renew()
    await bed.renew()
    await bed.renew(mode="")
    assert bed.fence.promised
    assert await bed.renew(mode="") == ""
    assert not bed.fence.promised and not bed.memory.exists() and not (bed.run / "fence.json").exists()
    bed.now += 1000
    assert bed.may_run
