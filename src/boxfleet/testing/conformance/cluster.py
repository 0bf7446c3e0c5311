"""What every driver of a cluster must do.

`ClusterConformance` is about orders and what is told of them, `RunningConformance` about what real containers see and
say: a stand-in without processes has only the first.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
import pytest

from boxfleet.api import meta, tunnel, unit
from boxfleet.planning import facts, manifest
from boxfleet.ports import cluster, streams

FOREVER = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1; done"]
_SECONDS = 90.0


@dataclasses.dataclass(slots=True, kw_only=True)
class Bed:
    """A cluster with a driver whose view runs; what a driver cannot tell of itself is given as functions.

    `image` is there already and has sh, cat, echo, env and sleep; `server` is the command of an HTTP server in it.
    """

    driver: cluster.Cluster
    image: str
    server: Callable[[int], Sequence[str]]
    # A further driver of the same fleet: what a server has that was killed and started anew.
    again: Callable[[], cluster.Cluster]
    # A driver of another fleet on the same cluster.
    stranger: Callable[[], cluster.Cluster]
    # While entered, the cluster does not answer.
    cut: Callable[[], contextlib.AbstractAsyncContextManager[None]]
    # Takes the name that the Unit's objects need, as somebody else would: (namespace, unit).
    occupy: Callable[[str, str], contextlib.AbstractAsyncContextManager[None]]
    # What bears the fleet's mark for that Unit, in words: (namespace, unit).
    traces: Callable[[str, str], Awaitable[Sequence[str]]]
    # Ends an instance behind the driver's back, as a crash of its host would: (namespace, name).
    kill: Callable[[str, str], Awaitable[None]]
    # A Pod spec's fields that this cluster cannot do, and the word that the refusal names them by.
    impossible: tuple[dict[str, Any], str]
    # Whether it keeps claims of instances.
    claims: bool = True
    # Whether a running container sees files that changed; otherwise they are there when it is made anew.
    files_in_place: bool = True
    namespace: str = "conformance"

    def share(
        self,
        name: str,
        *,
        ordinals: Sequence[int] = (0,),
        missing: Sequence[int] = (),
        generation: str = "1",
        renewed: Mapping[int, str] | None = None,
        env: Callable[[int], dict[str, str]] = lambda _: {},
        files: Callable[[int], dict[str, str]] = lambda _: {},
        claims: Sequence[str] = (),
        grace: Mapping[str, int] | None = None,
        refers: tuple[dict[str, cluster.JsonObject], dict[str, cluster.JsonObject]] = ({}, {}),
        command: Sequence[str] = tuple(FOREVER),
        container: Mapping[str, Any] | None = None,
        **spec: Any,
    ) -> cluster.Share:
        """What a Unit of that name wants: orders for all ordinals but the missing ones.

        `generation` goes into the uids of the orders, `renewed` gives other ones by ordinal. The Pods are made as
        those of every Unit are.
        """
        main = {"name": "main", "image": self.image, "command": list(command), **(container or {})}
        if claims:
            main["volumeMounts"] = [{"name": each, "mountPath": f"/{each}"} for each in claims]
        own = unit.Unit(
            metadata=meta.ObjectMeta(name=name, namespace=self.namespace, uid=f"unit-{name}"),
            spec=unit.UnitSpec(
                template={"spec": {"terminationGracePeriodSeconds": 5, "containers": [main], **spec}},
                replicas=len(ordinals),
                files=[unit.File(path=path, content="") for path in files(0)],
                volumeClaimTemplates=[_claim(each) for each in claims],
            ),
        )
        orders = {}
        for ordinal in ordinals:
            if ordinal not in missing:
                given = facts.Rendered(env(ordinal), files(ordinal))
                number = (renewed or {}).get(ordinal, generation)
                order = self._order(own, ordinal, given, uid=f"{name}-{ordinal}-{number}")
                orders[ordinal] = cluster.Order(
                    pod=order.pod,
                    config_maps={**order.config_maps, **refers[0]},
                    secrets=refers[1],
                    claims=order.claims,
                )
        return cluster.Share(
            namespace=self.namespace, unit=name, box="", ordinals=tuple(ordinals), orders=orders, grace=grace or {}
        )

    def _order(self, own: unit.Unit, ordinal: int, rendered: facts.Rendered, *, uid: str) -> cluster.Order:
        revision = manifest.revision(own.spec)
        pod = manifest.pod(own, ordinal=ordinal, cluster="c", address="", rendered=rendered, revision=revision)
        pod["metadata"] |= {"uid": uid, "creationTimestamp": "2026-01-01T00:00:00Z"}
        files = manifest.files(own, ordinal=ordinal, rendered=rendered)
        return cluster.Order(
            pod={"apiVersion": "v1", "kind": "Pod", **pod},
            config_maps={} if files is None else {files.metadata.name: meta.to_dict(files)},
            claims={claim["metadata"]["name"]: claim for claim in manifest.claims(own, ordinal=ordinal)},
        )

    @contextlib.asynccontextmanager
    async def delivered(self, share: cluster.Share) -> AsyncIterator[Sequence[cluster.Instance]]:
        """The share's instances, ready; withdrawn at the end, without waiting until they are gone."""
        try:
            await self.driver.deliver(share)
            yield await self.ready(share)
        finally:
            await self.driver.withdraw(share.key)

    async def ready(self, share: cluster.Share, *, driver: cluster.Cluster | None = None) -> Sequence[cluster.Instance]:
        """The instances, once there is one ready of every order, and no other; sorted by name."""
        wanted = {f"{share.unit}-{ordinal}": order.pod["metadata"]["uid"] for ordinal, order in share.orders.items()}

        def as_wanted(found: Sequence[cluster.Instance]) -> bool:
            return {each.name: each.uid for each in found} == wanted and all(
                is_ready(each) and not each.leaving for each in found
            )

        return await self.until(share.key, as_wanted, driver=driver)

    async def gone(self, key: meta.Key) -> None:
        """Wait until no instance of a Unit is there."""
        await self.until(key, lambda found: not found)

    async def until(
        self,
        key: meta.Key,
        holds: Callable[[Sequence[cluster.Instance]], bool],
        *,
        driver: cluster.Cluster | None = None,
    ) -> Sequence[cluster.Instance]:
        """The instances of a Unit in the view, sorted by name, once something holds of them."""
        view = driver or self.driver
        found: Sequence[cluster.Instance] = ()
        try:
            async with asyncio.timeout(_SECONDS):
                while True:
                    found = sorted(view.instances(key), key=lambda each: each.name)
                    if view.synced and holds(found):
                        return found
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pytest.fail(f"still so after {_SECONDS:.0f} s: {found}")

    async def untraced(self, name: str) -> None:
        """Wait until nothing of a Unit bears the fleet's mark."""

        async def clean() -> bool:
            return not await self.traces(self.namespace, name)

        await _eventually(clean)

    async def run(self, instance: cluster.Instance, *command: str) -> str:
        """The output of a command in an instance."""
        order = tunnel.ExecOrder(
            namespace=instance.namespace,
            pod=instance.name,
            uid=instance.uid,
            container="main",
            command=list(command),
        )
        channels = Recorded()
        await self.driver.stream(order, channels)
        return channels.said(tunnel.Channel.STDOUT).decode()


@contextlib.asynccontextmanager
async def followed(
    driver: cluster.Cluster, changed: Callable[[meta.Key | None], None] = lambda _: None
) -> AsyncIterator[cluster.Cluster]:
    """A driver whose view runs, and is begun anew after it was lost."""

    async def follow() -> None:
        while True:
            with contextlib.suppress(cluster.ClusterFault):
                await driver.run(changed)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(follow())
    try:
        yield driver
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await driver.close()


class Recorded:
    """Channels whose other side says what was given, stays until the work is done, and remembers what it was told."""

    def __init__(self, *said: tuple[int, bytes]) -> None:
        self._said = said
        self.heard: list[tuple[int, bytes]] = []

    async def send(self, channel: tunnel.Channel, data: bytes) -> None:
        """Remember."""
        self.heard.append((channel, data))

    async def receive(self) -> AsyncIterator[tuple[int, bytes]]:
        """What was given; then the other side waits."""
        for each in self._said:
            yield each
        await asyncio.Event().wait()

    def said(self, channel: tunnel.Channel) -> bytes:
        """All that came on one channel."""
        return b"".join(data for number, data in self.heard if number == channel)


class Leaving(Recorded):
    """Channels whose other side goes away as soon as the order was taken, or a word was heard."""

    def __init__(self, word: bytes = b"") -> None:
        super().__init__()
        self._word = word

    async def receive(self) -> AsyncIterator[tuple[int, bytes]]:
        """Nothing; ends then."""
        await _eventually(lambda: bool(self.heard) and self._word in self.said(tunnel.Channel.STDOUT))
        for each in self._said:
            yield each


def is_ready(instance: cluster.Instance) -> bool:
    """Whether the status says so."""
    conditions = {each["type"]: each["status"] for each in instance.status.get("conditions") or ()}
    return conditions.get("Ready") == "True"


def _claim(name: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }


async def _eventually(holds: Callable[[], bool | Awaitable[bool]]) -> None:
    async with asyncio.timeout(_SECONDS):
        while True:
            answer = holds()
            if answer is True or (not isinstance(answer, bool) and await answer):
                return
            await asyncio.sleep(0.05)


def _names(found: Sequence[cluster.Instance]) -> list[str]:
    return [each.name for each in found]


@pytest.mark.anyio
class ClusterConformance:
    """Inherit, and give a fixture `bed`."""

    async def test_looks_at_the_cluster(self, bed: Bed) -> None:
        """Version, latency, hosts; nothing is missing on a bed."""
        report = await bed.driver.check()
        assert report.version
        assert report.latency >= 0
        assert [lack for lack in report.lacks if lack.fatal] == []
        assert report.nodes
        assert {each.name for each in report.nodes} == {each.name for each in bed.driver.nodes()}
        assert all(each.ready for each in bed.driver.nodes())
        assert all(each.capacity.get("cpu") and each.capacity.get("memory") for each in report.nodes)

    async def test_delivers_and_withdraws(self, bed: Bed) -> None:
        """Instances have their names, uids and a v1 status; nothing of the Unit stays."""
        share = bed.share("life", ordinals=(0, 1))
        async with bed.delivered(share) as found:
            assert _names(found) == ["life-0", "life-1"]
            for each in found:
                assert (each.namespace, each.unit) == (bed.namespace, "life")
                assert each.incarnation
                assert each.node in {node.name for node in bed.driver.nodes()}
                assert each.status["phase"] == "Running"
                [container] = each.status["containerStatuses"]
                assert container["name"] == "main"
                assert container["state"]["running"]["startedAt"]
            assert {each.name for each in bed.driver.instances()} >= {"life-0", "life-1"}
            assert await bed.traces(bed.namespace, "life")
        await bed.gone(share.key)
        await bed.untraced("life")

    async def test_delivering_again_changes_nothing(self, bed: Bed) -> None:
        """Also by another driver, after the first was killed: the same incarnations go on."""
        share = bed.share("repeated", ordinals=(0, 1))
        async with bed.delivered(share) as found:
            await bed.driver.deliver(share)
            async with followed(bed.again()) as successor:
                await successor.deliver(share)
                after = await bed.ready(share, driver=successor)
            assert [each.incarnation for each in after] == [each.incarnation for each in found]

    async def test_cut_off_in_the_middle(self, bed: Bed) -> None:
        """By a server that is killed while it delivers: the next one finishes, whatever was done."""
        share = bed.share("halves", ordinals=(0, 1), grace={"halves-1": 1})
        for generation, seconds in enumerate((0.02, 0.1, 0.3), start=2):
            async with followed(bed.again()) as killed:
                renewed = bed.share("halves", ordinals=(0, 1), renewed={1: str(generation)}, grace={"halves-1": 1})
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await killed.deliver(renewed)
        try:
            await bed.driver.deliver(share)
            await bed.ready(share)
        finally:
            await bed.driver.withdraw(share.key)

    async def test_grows_and_shrinks(self, bed: Bed) -> None:
        """Those that stay are not touched."""
        async with bed.delivered(bed.share("sized", ordinals=(0,))) as found:
            grown = bed.share("sized", ordinals=(0, 1, 2))
            await bed.driver.deliver(grown)
            after = await bed.ready(grown)
            assert after[0].incarnation == found[0].incarnation
            shrunk = bed.share("sized", ordinals=(0,), grace={"sized-1": 1, "sized-2": 1})
            await bed.driver.deliver(shrunk)
            assert (await bed.ready(shrunk))[0].incarnation == found[0].incarnation

    async def test_replaces_one(self, bed: Bed) -> None:
        """It leaves, stays away while its order is missing, and comes when there is a new one; others go on."""
        async with bed.delivered(bed.share("changed", ordinals=(0, 1, 2))) as found:
            without = bed.share("changed", ordinals=(0, 1, 2), missing=(1,), grace={"changed-1": 1})
            await bed.driver.deliver(without)
            await bed.ready(without)
            # Delivered again and again meanwhile, also by a server that was started anew.
            await bed.driver.deliver(without)
            async with followed(bed.again()) as successor:
                await successor.deliver(without)
                await bed.ready(without, driver=successor)
            whole = bed.share("changed", ordinals=(0, 1, 2), renewed={1: "2"})
            await bed.driver.deliver(whole)
            after = await bed.ready(whole)
            assert after[0].incarnation == found[0].incarnation
            assert after[1].incarnation != found[1].incarnation
            assert after[2].incarnation == found[2].incarnation

    async def test_an_order_of_another_uid_replaces(self, bed: Bed) -> None:
        """At once, and only what it is for."""
        async with bed.delivered(bed.share("renewed", ordinals=(0, 1))) as found:
            whole = bed.share("renewed", ordinals=(0, 1), renewed={0: "2"}, env=lambda _: {"NEW": "yes"})
            await bed.driver.deliver(whole)
            after = await bed.ready(whole)
            assert after[0].incarnation != found[0].incarnation
            assert after[1].incarnation == found[1].incarnation

    async def test_ordinals_have_gaps(self, bed: Bed) -> None:
        """A share of a Unit whose other instances run elsewhere: names are the ordinals' all the same."""
        async with bed.delivered(bed.share("gaps", ordinals=(1, 3))) as found:
            assert _names(found) == ["gaps-1", "gaps-3"]
            grown = bed.share("gaps", ordinals=(1, 3, 4))
            await bed.driver.deliver(grown)
            after = await bed.ready(grown)
            assert [each.incarnation for each in after[:2]] == [each.incarnation for each in found]
        await bed.untraced("gaps")

    async def test_nothing_is_wanted(self, bed: Bed) -> None:
        """A share without orders is empty, not gone: what it has is taken away."""
        async with bed.delivered(bed.share("idle", ordinals=(0,))):
            nothing = bed.share("idle", ordinals=(0,), missing=(0,), grace={"idle-0": 1})
            await bed.driver.deliver(nothing)
            await bed.gone(nothing.key)
            whole = bed.share("idle", ordinals=(0,), generation="2")
            await bed.driver.deliver(whole)
            await bed.ready(whole)

    async def test_an_instance_that_dies_comes_again(self, bed: Bed) -> None:
        """By the cluster itself: another incarnation of the same order."""
        share = bed.share("mortal", ordinals=(0, 1))
        async with bed.delivered(share) as found:
            await bed.kill(bed.namespace, "mortal-1")
            await bed.until(share.key, lambda now: all(each.incarnation != found[1].incarnation for each in now))
            after = await bed.ready(share)
            assert after[0].incarnation == found[0].incarnation

    async def test_an_instance_is_renewed(self, bed: Bed) -> None:
        """Another incarnation; one that is not there is no fault."""
        share = bed.share("again", ordinals=(0, 1))
        async with bed.delivered(share) as found:
            await bed.driver.renew(bed.namespace, "again-0")
            await bed.until(share.key, lambda now: all(each.incarnation != found[0].incarnation for each in now))
            after = await bed.ready(share)
            assert after[1].incarnation == found[1].incarnation
        await bed.driver.renew(bed.namespace, "again-0")
        await bed.driver.renew(bed.namespace, "not-there-7")

    async def test_what_is_not_there_is_withdrawn(self, bed: Bed) -> None:
        """Harmlessly."""
        await bed.driver.withdraw(meta.Key(bed.namespace, "never-there"))
        await bed.driver.withdraw(meta.Key("no-such-namespace", "never-there"))

    async def test_what_belongs_to_others_is_not_touched(self, bed: Bed) -> None:
        """A name that is taken is told, and nothing is made."""
        share = bed.share("taken", ordinals=(0,))
        async with bed.occupy(bed.namespace, "taken"):
            with pytest.raises(cluster.Taken, match="taken"):
                await bed.driver.deliver(share)
            assert await bed.traces(bed.namespace, "taken") == []
            await bed.driver.withdraw(share.key)
            with pytest.raises(cluster.Taken):
                await bed.driver.deliver(share)
        await bed.driver.deliver(share)
        await bed.ready(share)
        await bed.driver.withdraw(share.key)

    async def test_fleets_do_not_see_each_other(self, bed: Bed) -> None:
        """Another fleet on the same cluster neither shows nor ends what is ours."""
        share = bed.share("ours", ordinals=(0,))
        async with bed.delivered(share) as found, followed(bed.stranger()) as other:
            await bed.until(share.key, lambda now: not now, driver=other)
            with pytest.raises(cluster.Taken):
                await other.deliver(share)
            await other.withdraw(share.key)
            await other.renew(bed.namespace, "ours-0")
            assert [each.incarnation for each in await bed.ready(share)] == [each.incarnation for each in found]

    async def test_what_it_cannot_do_is_said_first(self, bed: Bed) -> None:
        """Before anything is made."""
        fields, word = bed.impossible
        share = bed.share("impossible", **fields)
        with pytest.raises(cluster.Unsupported, match=word):
            await bed.driver.deliver(share)
        assert await bed.traces(bed.namespace, "impossible") == []
        assert bed.driver.instances(share.key) == []

    async def test_changes_are_told(self, bed: Bed) -> None:
        """With the Unit whose instances changed; the view shows them already."""
        told: list[meta.Key | None] = []
        share = bed.share("told", ordinals=(0,))
        async with followed(bed.again(), told.append) as second:
            await bed.until(share.key, lambda _: True, driver=second)
            # That it is whole now is worth a look at everything.
            await _eventually(lambda: None in told)
            assert share.key not in told
            async with bed.delivered(share):
                await bed.ready(share, driver=second)
                assert share.key in told
                told.clear()
            await bed.until(share.key, lambda now: not now, driver=second)
            assert share.key in told

    async def test_out_of_reach_and_back(self, bed: Bed) -> None:
        """Meanwhile calls say so and the view shows what was last known."""
        share = bed.share("distant", ordinals=(0,))
        async with bed.delivered(share) as found:
            async with bed.cut():
                for call in (bed.driver.deliver(share), bed.driver.withdraw(share.key), bed.driver.check()):
                    with pytest.raises(cluster.Unreachable):
                        await call
                await _eventually(lambda: not bed.driver.synced)
                assert _names(bed.driver.instances(share.key)) == ["distant-0"]
            after = await bed.ready(share)
            assert [each.incarnation for each in after] == [each.incarnation for each in found]


@pytest.mark.anyio
class RunningConformance:
    """What real containers see and say. Inherit beside `ClusterConformance`."""

    async def test_environment_of_each(self, bed: Bed) -> None:
        """Values that differ between instances, by their name or in other ways, reach the right one."""

        def env(ordinal: int) -> dict[str, str]:
            return {"ME": f"env-{ordinal}", "URL": f"http://env-{ordinal}.example:80/$(x)", "SAME": "for all"}

        def odd(ordinal: int) -> dict[str, str]:
            return {"NUMBER": str(ordinal * 7), "SAME": "for all"}

        for name, values in (("env", env), ("odd", odd)):
            async with bed.delivered(bed.share(name, ordinals=(0, 1), env=values)) as found:
                for ordinal, each in enumerate(found):
                    lines = (await bed.run(each, "env")).splitlines()
                    assert {f"{name}={value}" for name, value in values(ordinal).items()} <= set(lines)

    async def test_files_of_each(self, bed: Bed) -> None:
        """Files differ between instances, and their new content comes, at the latest with a new incarnation."""

        def first(ordinal: int) -> dict[str, str]:
            return {"/etc/app/one.conf": f"I am {ordinal}\n", "/etc/two": "the same\n"}

        def second(ordinal: int) -> dict[str, str]:
            return {"/etc/app/one.conf": f"I was {ordinal}\n", "/etc/two": "the same\n"}

        async with bed.delivered(bed.share("files", ordinals=(0, 1), files=first)) as found:
            for ordinal, each in enumerate(found):
                assert await bed.run(each, "cat", "/etc/app/one.conf", "/etc/two") == f"I am {ordinal}\nthe same\n"
            changed = bed.share("files", ordinals=(0, 1), files=second)
            await bed.driver.deliver(changed)
            after = await bed.ready(changed)
            assert [each.incarnation for each in after] == [each.incarnation for each in found]
            if not bed.files_in_place:
                await bed.driver.renew(bed.namespace, "files-1")
                await bed.until(changed.key, lambda now: all(each.incarnation != found[1].incarnation for each in now))
                after = await bed.ready(changed)

            async def reads() -> bool:
                return await bed.run(after[1], "cat", "/etc/app/one.conf") == "I was 1\n"

            await _eventually(reads)

    async def test_what_a_pod_refers_to_comes_along(self, bed: Bed) -> None:
        """ConfigMaps and Secrets, as environment and as files."""
        maps = {"shared": {"metadata": {"name": "shared"}, "data": {"a": "from a map"}}}
        secrets = {"keys": {"metadata": {"name": "keys"}, "type": "Opaque", "data": {"k": "ZnJvbSBhIHNlY3JldA=="}}}
        container = {
            "env": [
                {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "shared", "key": "a"}}},
                {"name": "K", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "k"}}},
                {"name": "B", "value": "$(A) and $(K)"},
            ],
            "volumeMounts": [{"name": "s", "mountPath": "/s"}],
        }
        share = bed.share(
            "refers",
            refers=(maps, secrets),
            container=container,
            volumes=[{"name": "s", "secret": {"secretName": "keys"}}],
        )
        async with bed.delivered(share) as [each]:
            assert "B=from a map and from a secret" in (await bed.run(each, "env")).splitlines()
            assert await bed.run(each, "cat", "/s/k") == "from a secret"

    async def test_what_several_units_use_stays_until_the_last_leaves(self, bed: Bed) -> None:
        """One Unit's withdrawal takes nothing from another."""
        maps = {"common": {"metadata": {"name": "common"}, "data": {"a": "for both"}}}
        container = {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "common", "key": "a"}}}]}
        first, second = (bed.share(name, refers=(maps, {}), container=container) for name in ("first", "second"))
        async with bed.delivered(second):
            async with bed.delivered(first):
                await bed.driver.deliver(second)
            renewed = bed.share("second", refers=(maps, {}), container=container, grace={"second-0": 1}, generation="2")
            await bed.driver.deliver(renewed)
            [each] = await bed.ready(renewed)
            assert "A=for both" in (await bed.run(each, "env")).splitlines()
        await bed.untraced("second")

    async def test_hooks_run(self, bed: Bed) -> None:
        """After the start, and before the end."""
        hooks = {
            "postStart": {"exec": {"command": ["sh", "-c", "echo started > /hooked"]}},
            "preStop": {"exec": {"command": ["sh", "-c", "echo leaving > /proc/1/fd/1"]}},
        }
        async with bed.delivered(bed.share("hooks", container={"lifecycle": hooks})) as [each]:
            assert await bed.run(each, "cat", "/hooked") == "started\n"
            log = asyncio.create_task(self._log(bed, each, follow=True))
            await bed.driver.renew(bed.namespace, "hooks-0")
            assert "leaving" in await log

    async def test_claims_outlive_instances(self, bed: Bed) -> None:
        """What an instance wrote is there for the next one of its name, and goes with the Unit."""
        if not bed.claims:
            pytest.skip("this cluster keeps no claims")
        async with bed.delivered(bed.share("kept", ordinals=(0, 1), claims=("data",))) as found:
            for each in found:
                await bed.run(each, "sh", "-c", f"echo {each.name} >> /data/who")
            without = bed.share("kept", ordinals=(0, 1), claims=("data",), missing=(0,), grace={"kept-0": 1})
            await bed.driver.deliver(without)
            await bed.ready(without)
            whole = bed.share("kept", ordinals=(0, 1), claims=("data",), renewed={0: "2"})
            await bed.driver.deliver(whole)
            after = await bed.ready(whole)
            assert await bed.run(after[0], "cat", "/data/who") == "kept-0\n"
        await bed.untraced("kept")

    async def test_it_runs_to_its_end(self, bed: Bed) -> None:
        """What is to run once is told to have ended well, or not, and is not started again."""
        share = bed.share("once", command=("sh", "-c", "exit 0"), restartPolicy="Never")
        await bed.driver.deliver(share)
        [each] = await bed.until(share.key, lambda now: [one.status.get("phase") for one in now] == ["Succeeded"])
        await bed.driver.deliver(share)
        [after] = await bed.until(share.key, lambda now: len(now) == 1)
        assert after.incarnation == each.incarnation
        failing = bed.share("once", generation="2", command=("sh", "-c", "exit 3"), restartPolicy="Never")
        await bed.driver.deliver(failing)
        [each] = await bed.until(share.key, lambda now: [one.status.get("phase") for one in now] == ["Failed"])
        assert each.status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
        await bed.driver.withdraw(share.key)

    async def test_commands_run(self, bed: Bed) -> None:
        """With input, output and exit code; one that is not there is refused."""
        async with bed.delivered(bed.share("commands")) as [each]:
            order = tunnel.ExecOrder(
                namespace=bed.namespace,
                pod=each.name,
                uid=each.uid,
                container="main",
                command=["sh", "-c", "cat; echo gone wrong >&2; exit 7"],
                stdin=True,
            )
            channels = Recorded(
                (tunnel.Channel.STDIN, b"one "),
                (tunnel.Channel.STDIN, b"two\n"),
                (tunnel.Channel.CLOSE, bytes([tunnel.Channel.STDIN])),
            )
            status = await bed.driver.stream(order, channels)
            assert b'"NonZeroExitCode"' in status and b'"7"' in status
            assert channels.heard[0] == (tunnel.Channel.STDOUT, b"")
            assert channels.said(tunnel.Channel.STDOUT) == b"one two\n"
            assert channels.said(tunnel.Channel.STDERR) == b"gone wrong\n"
            order = msgspec.structs.replace(order, command=["sh", "-c", "echo $0"], tty=True, stderr=False, stdin=False)
            channels = Recorded((tunnel.Channel.RESIZE, b'{"Width":80,"Height":24}'))
            assert b'"Success"' in await bed.driver.stream(order, channels)
            assert channels.said(tunnel.Channel.STDOUT).strip() == b"sh"
            order = msgspec.structs.replace(order, command=["cat"], tty=False, stdin=True)
            with pytest.raises(streams.Disconnected):
                await bed.driver.stream(order, Leaving())
            order = msgspec.structs.replace(order, pod="commands-9", uid="nobody")
            with pytest.raises(streams.Refusal, match="commands-9"):
                await bed.driver.stream(order, Recorded())

    async def test_logs_are_read(self, bed: Bed) -> None:
        """All of them, their end, and what comes; what comes is heard by attaching too."""
        words = "echo one; echo two; trap 'exit 0' TERM; while :; do sleep 0.1; echo more; done"
        async with bed.delivered(bed.share("logs", command=("sh", "-c", words))) as [each]:
            await _eventually(lambda: self._says(bed, each, "two"))
            assert (await self._log(bed, each)).startswith("one\ntwo\n")
            assert await self._log(bed, each, limit=4) == "one\n"
            assert len((await self._log(bed, each, tail=1)).splitlines()) == 1
            assert (await self._log(bed, each, timestamps=True)).splitlines()[0].endswith("Z one")
            with pytest.raises(streams.Disconnected):
                await bed.driver.stream(self._log_order(bed, each, follow=True), Leaving(b"more\n"))
            order = tunnel.AttachOrder(namespace=bed.namespace, pod=each.name, uid=each.uid, container="main")
            with pytest.raises(streams.Disconnected):
                await bed.driver.stream(order, Leaving(b"more\n"))

    async def test_ports_are_reached(self, bed: Bed) -> None:
        """A connection into the instance; a port that nobody listens on is told."""
        async with bed.delivered(bed.share("ports", command=bed.server(8080))) as [each]:
            order = tunnel.ForwardOrder(namespace=bed.namespace, pod=each.name, uid=each.uid, port=8080)

            async def answers() -> bool:
                channels = Recorded((tunnel.Channel.STDIN, b"GET / HTTP/1.0\r\n\r\n"))
                # The server may not listen yet.
                with contextlib.suppress(streams.Refusal):
                    await bed.driver.stream(order, channels)
                return channels.said(tunnel.Channel.STDOUT).startswith(b"HTTP/1.0 200")

            await _eventually(answers)
            order = tunnel.ForwardOrder(namespace=bed.namespace, pod=each.name, uid=each.uid, port=8081)
            with pytest.raises(streams.Refusal, match="8081"):
                await bed.driver.stream(order, Recorded((tunnel.Channel.STDIN, b"GET / HTTP/1.0\r\n\r\n")))

    async def _log(self, bed: Bed, each: cluster.Instance, **options: Any) -> str:
        channels = Recorded()
        await bed.driver.stream(self._log_order(bed, each, **options), channels)
        return channels.said(tunnel.Channel.STDOUT).decode()

    def _log_order(self, bed: Bed, each: cluster.Instance, **options: Any) -> tunnel.LogOrder:
        return tunnel.LogOrder(namespace=bed.namespace, pod=each.name, uid=each.uid, container="main", **options)

    async def _says(self, bed: Bed, each: cluster.Instance, word: str) -> bool:
        return word in await self._log(bed, each)
