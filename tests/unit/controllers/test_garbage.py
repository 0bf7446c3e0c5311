"""The garbage collector on the real API: kinds that come at run time own and are owned as built-in ones are."""

import asyncio
import contextlib
import pathlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from boxfleet.api import roles
from boxfleet.client import client, events, inprocess, shared, transport
from boxfleet.controllers.garbage import controller
from boxfleet.kit import clock
from boxfleet.testing import server

pytestmark = pytest.mark.anyio

PATIENCE = 20.0
CONFIGS = "/api/v1/namespaces/default/configmaps"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
FOOS = "/apis/example.com/v1/namespaces/default/foos"
BARS = "/apis/example.com/v1/bars"
ELSEWHERE = "11111111-2222-3333-4444-555555555555"


class Recording:
    """A transport that keeps what was asked of it: paths of watches, and (path, accept) of all reads."""

    def __init__(self, via: transport.Transport) -> None:
        self._via = via
        self.watches: list[str] = []
        self.reads: list[tuple[str, str]] = []

    async def request(self, method: str, path: str, **more: Any) -> transport.Response:
        if method == "GET":
            self.reads.append((path, more["accept"]))
        return await self._via.request(method, path, **more)

    async def lines(self, path: str, **more: Any) -> AsyncIterator[bytes]:
        self.watches.append(path)
        self.reads.append((path, more["accept"]))
        async with contextlib.aclosing(self._via.lines(path, **more)) as lines:
            async for line in lines:
                yield line

    async def close(self) -> None:
        await self._via.close()


class Bed:
    """The API, and a collector that can be held back."""

    def __init__(self, api: server.Api, group: asyncio.TaskGroup) -> None:
        self.api = api
        self._group = group
        self.via = Recording(inprocess.InProcess(api.app, token=roles.GARBAGE_COLLECTOR))
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        part = client.Client(self.via)  # type: ignore[arg-type]
        caches = shared.Caches(part, clock=clock.SystemClock())
        said = events.Recorder(self.api.part(roles.CONTROLLERS), component="test", clock=clock.SystemClock())
        collector = controller.GarbageController(part, caches, clock=clock.SystemClock(), events=said)
        self._tasks = [self._group.create_task(caches.run())]
        await caches.synced()
        self._tasks += [self._group.create_task(each()) for each in (collector.run, said.run)]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def send(self, method: str, path: str, body: Any = None, *, expect: int | None = None, **headers: str) -> Any:
        given = {"content-type": "application/merge-patch+json"} if method == "PATCH" else {}
        reply = await server.send(self.api.app, method, path, body, headers=given | headers)
        assert reply.status in ((expect,) if expect else (200, 201, 202)), reply.json
        return reply.json

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        """Wait until something holds, looking again whenever anything is written."""
        with self.api.store.watch("/", after=self.api.store.revision) as changes:
            try:
                async with asyncio.timeout(PATIENCE):
                    while not await holds():
                        await changes.take(timeout=PATIENCE)
            except TimeoutError:
                raise AssertionError("not so in time") from None

    async def is_there(self, path: str) -> bool:
        return (await server.send(self.api.app, "GET", path)).status == 200

    async def until_gone(self, path: str) -> None:
        async def holds() -> bool:
            return not await self.is_there(path)

        await self.until(holds)

    async def define(self, kind: str, *, scope: str = "Namespaced", served: bool = True) -> str:
        path = f"{DEFINITIONS}/{kind.lower()}s.example.com"
        await self.send("POST", DEFINITIONS, definition(kind, scope=scope, served=served))

        async def established() -> bool:
            said = (await self.send("GET", path)).get("status", {}).get("conditions", [])
            return any(each["type"] == "Established" and each["status"] == "True" for each in said)

        await self.until(established)
        return path

    async def make(self, path: str, name: str, *owners: dict[str, Any], **metadata: Any) -> dict[str, Any]:
        kind = {"configmaps": "ConfigMap", "foos": "Foo", "bars": "Bar"}[path.rpartition("/")[2]]
        version = "v1" if kind == "ConfigMap" else "example.com/v1"
        body = {
            "apiVersion": version,
            "kind": kind,
            "metadata": {"name": name, "ownerReferences": list(owners), **metadata},
        }
        made: dict[str, Any] = await self.send("POST", path, body)
        return made

    async def owners_of(self, path: str) -> list[str]:
        return [each["name"] for each in (await self.send("GET", path))["metadata"].get("ownerReferences", [])]


def definition(kind: str, *, scope: str = "Namespaced", served: bool = True, note: str = "") -> dict[str, Any]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "description": note}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.lower()}s.example.com"},
        "spec": {
            "group": "example.com",
            "scope": scope,
            "names": {"kind": kind, "plural": f"{kind.lower()}s", "singular": kind.lower()},
            "versions": [{"name": "v1", "served": served, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }


def owner(obj: dict[str, Any], *, blocking: bool = False, **changed: str) -> dict[str, Any]:
    found = {"apiVersion": obj["apiVersion"], "kind": obj["kind"]}
    found |= {key: obj["metadata"][key] for key in ("name", "uid")}
    return found | changed | ({"blockOwnerDeletion": True} if blocking else {})


@pytest.fixture
async def bed(tmp_path: pathlib.Path, anyio_backend: str) -> AsyncIterator[Bed]:
    async with server.running(tmp_path) as api, asyncio.TaskGroup() as group:
        made = Bed(api, group)
        try:
            yield made
        finally:
            await made.stop()


@pytest.fixture
async def running(bed: Bed) -> Bed:
    await bed.start()
    return bed


async def test_dependents_of_custom_kinds_go_behind_their_owners_of_any_kind(running: Bed) -> None:
    await running.define("Foo")
    await running.define("Bar", scope="Cluster")
    bar = await running.make(BARS, "bar")
    foo = await running.make(FOOS, "foo", owner(bar))
    config = await running.make(CONFIGS, "config", owner(foo))
    await running.make(FOOS, "leaf", owner(config))
    await running.make(FOOS, "free")
    await running.send("DELETE", f"{BARS}/bar?propagationPolicy=Background")
    for path in (f"{FOOS}/foo", f"{CONFIGS}/config", f"{FOOS}/leaf"):
        await running.until_gone(path)
    assert await running.is_there(f"{FOOS}/free")


async def test_in_the_foreground_a_custom_owner_waits_for_what_blocks_it(running: Bed) -> None:
    await running.define("Foo")
    foo = await running.make(FOOS, "foo")
    config = await running.make(CONFIGS, "config", owner(foo, blocking=True))
    await running.make(FOOS, "leaf", owner(config, blocking=True), finalizers=["example.com/wait"])
    await running.make(CONFIGS, "loose", owner(foo), finalizers=["example.com/wait"])
    answer = await running.send("DELETE", f"{FOOS}/foo?propagationPolicy=Foreground")
    assert answer["metadata"]["finalizers"] == ["foregroundDeletion"]

    async def going() -> bool:
        found = [await running.send("GET", path) for path in (f"{FOOS}/leaf", f"{CONFIGS}/loose")]
        return all("deletionTimestamp" in each["metadata"] for each in found)

    # Everything is asked to go; what is held holds those above it.
    await running.until(going)
    assert await running.is_there(f"{FOOS}/foo") and await running.is_there(f"{CONFIGS}/config")
    await running.send("PATCH", f"{FOOS}/leaf", {"metadata": {"finalizers": None}})
    await running.until_gone(f"{FOOS}/foo")
    assert not await running.is_there(f"{CONFIGS}/config") and await running.is_there(f"{CONFIGS}/loose")


async def test_a_circle_of_owners_that_block_each_other_goes(running: Bed) -> None:
    await running.define("Foo")
    one = await running.make(FOOS, "one")
    two = await running.make(FOOS, "two", owner(one, blocking=True))
    await running.send("PATCH", f"{FOOS}/one", {"metadata": {"ownerReferences": [owner(two, blocking=True)]}})
    await running.send("DELETE", f"{FOOS}/one?propagationPolicy=Foreground")
    await running.until_gone(f"{FOOS}/one")
    await running.until_gone(f"{FOOS}/two")


async def test_orphans_of_custom_kinds_stay(running: Bed) -> None:
    await running.define("Foo")
    foo = await running.make(FOOS, "foo")
    await running.make(FOOS, "child", owner(foo, blocking=True))
    await running.make(CONFIGS, "config", owner(foo))
    await running.send("DELETE", f"{FOOS}/foo?propagationPolicy=Orphan")
    await running.until_gone(f"{FOOS}/foo")
    assert not await running.owners_of(f"{FOOS}/child") and not await running.owners_of(f"{CONFIGS}/config")


async def test_a_dependent_with_a_finalizer_of_its_own_goes_as_that_says(running: Bed) -> None:
    await running.define("Foo")
    foo = await running.make(FOOS, "foo")
    middle = await running.make(FOOS, "middle", owner(foo), finalizers=["orphan"])
    await running.make(CONFIGS, "config", owner(middle))
    await running.send("DELETE", f"{FOOS}/foo?propagationPolicy=Background")
    await running.until_gone(f"{FOOS}/middle")
    assert await running.owners_of(f"{CONFIGS}/config") == []


async def test_an_owner_with_another_uid_is_absent(running: Bed) -> None:
    await running.define("Foo")
    foo = await running.make(FOOS, "foo")
    await running.make(CONFIGS, "config", owner(foo, uid=ELSEWHERE))
    await running.make(FOOS, "child", owner(foo, uid=ELSEWHERE))
    await running.make(FOOS, "nameless", owner(foo, name="nobody"))
    await running.make(FOOS, "odd", owner(foo, name="a=b,c\\d"))
    await running.make(FOOS, "both", owner(foo), owner(foo, name="old", uid=ELSEWHERE))
    for path in (f"{CONFIGS}/config", f"{FOOS}/child", f"{FOOS}/nameless", f"{FOOS}/odd"):
        await running.until_gone(path)

    async def one_left() -> bool:
        return await running.owners_of(f"{FOOS}/both") == ["foo"]

    await running.until(one_left)


async def test_dependents_go_with_the_definition_of_their_owner(running: Bed) -> None:
    path = await running.define("Foo")
    foo = await running.make(FOOS, "foo")
    await running.make(CONFIGS, "config", owner(foo))
    await running.send("DELETE", path)
    await running.until_gone(path)
    await running.until_gone(f"{CONFIGS}/config")


async def test_what_a_definition_owns_goes_with_it(running: Bed) -> None:
    path = await running.define("Foo")
    await running.make(CONFIGS, "config", owner(await running.send("GET", path)))
    await running.send("DELETE", path)
    await running.until_gone(f"{CONFIGS}/config")


async def test_owners_of_a_kind_that_is_not_served_are_not_judged_until_it_is(running: Bed) -> None:
    path = await running.define("Foo", served=False)
    gone = {"apiVersion": "example.com/v1", "kind": "Foo", "name": "foo", "uid": ELSEWHERE}
    await running.make(CONFIGS, "config", gone)
    # Something that the collector has to do after that.
    marker = await running.make(CONFIGS, "marker")
    await running.make(CONFIGS, "behind", owner(marker))
    await running.send("DELETE", f"{CONFIGS}/marker")
    await running.until_gone(f"{CONFIGS}/behind")
    assert await running.is_there(f"{CONFIGS}/config")
    await running.send("PATCH", path, {"spec": definition("Foo")["spec"]})
    await running.until_gone(f"{CONFIGS}/config")


async def test_a_kind_that_is_served_no_longer_keeps_its_dependents(running: Bed) -> None:
    path = await running.define("Foo")
    foo = await running.make(FOOS, "foo")
    await running.make(FOOS, "warm", owner(foo, uid=ELSEWHERE))
    await running.until_gone(f"{FOOS}/warm")
    await running.send("PATCH", path, {"spec": definition("Foo", served=False)["spec"]})
    await running.make(CONFIGS, "config", owner(foo))
    marker = await running.make(CONFIGS, "marker")
    await running.make(CONFIGS, "behind", owner(marker))
    await running.send("DELETE", f"{CONFIGS}/marker")
    await running.until_gone(f"{CONFIGS}/behind")
    assert await running.is_there(f"{CONFIGS}/config")
    # Served again, it is an owner like any other.
    await running.send("PATCH", path, {"spec": definition("Foo")["spec"]})
    await running.send("DELETE", f"{FOOS}/foo")
    await running.until_gone(f"{CONFIGS}/config")


async def test_a_kind_that_comes_again_is_followed_again(running: Bed) -> None:
    for _ in range(2):
        path = await running.define("Foo")
        foo = await running.make(FOOS, "foo")
        await running.make(FOOS, "child", owner(foo, blocking=True))
        await running.send("DELETE", f"{FOOS}/foo?propagationPolicy=Foreground")
        await running.until_gone(f"{FOOS}/foo")
        assert not await running.is_there(f"{FOOS}/child")
        await running.send("DELETE", path)
        await running.until_gone(path)


async def test_nothing_is_let_go_before_the_dependents_of_all_kinds_are_known(bed: Bed) -> None:
    await bed.define("Foo")
    await bed.define("Bar", scope="Cluster")
    config = await bed.make(CONFIGS, "config")
    await bed.make(FOOS, "child", owner(config))
    await bed.send("DELETE", f"{CONFIGS}/config?propagationPolicy=Orphan")
    # Begins with an owner that is going, and kinds of which it knows nothing yet.
    await bed.start()
    await bed.until_gone(f"{CONFIGS}/config")
    assert await bed.owners_of(f"{FOOS}/child") == []


async def test_custom_objects_are_read_as_metadata_by_one_list_for_each_kind(running: Bed) -> None:
    path = await running.define("Foo")
    foo = await running.make(FOOS, "foo")
    for round_ in range(5):
        # A definition that changes, but not in where its objects are found, begins nothing anew.
        await running.send("PATCH", path, {"spec": definition("Foo", note=f"round {round_}")["spec"]})
        await running.make(FOOS, f"child-{round_}", owner(foo))
    await running.send("DELETE", f"{FOOS}/foo")
    for round_ in range(5):
        await running.until_gone(f"{FOOS}/child-{round_}")
    # The server ends watches of a definition that changed, as Kubernetes does; they go on where they were.
    assert running.via.watches.count("/apis/example.com/v1/foos") <= 6
    # Those of one namespace ask for an owner alone.
    lists = [accept for path, accept in running.via.reads if path == "/apis/example.com/v1/foos" and "List" in accept]
    assert len(lists) == 1
    asked = [accept for path, accept in running.via.reads if "/foos" in path]
    assert asked and all("as=PartialObjectMetadata" in accept for accept in asked)


async def break_conversion(bed: Bed, path: str) -> None:
    """A further version becomes the stored one, and what is stored in the first one can no longer be converted."""
    spec = (await bed.send("GET", path))["spec"]
    newer = {**spec["versions"][0], "name": "v2"}
    spec["versions"] = [{**spec["versions"][0], "storage": False}, newer]
    # Nobody listens there.
    hook = {"conversionReviewVersions": ["v1"], "clientConfig": {"url": "https://127.0.0.1:1/convert"}}
    await bed.send("PATCH", path, {"spec": {**spec, "conversion": {"strategy": "Webhook", "webhook": hook}}})


async def mend(bed: Bed, path: str) -> None:
    await bed.send("PATCH", path, {"spec": {"conversion": {"strategy": "None", "webhook": None}}})


async def until_told(bed: Bed, name: str) -> str:
    path = "/api/v1/namespaces/default/events?fieldSelector=reason=CannotFindDependents"

    async def told() -> list[str]:
        found = (await bed.send("GET", path))["items"]
        return [each["message"] for each in found if each["involvedObject"]["name"] == name]

    async def holds() -> bool:
        return bool(await told())

    await bed.until(holds)
    return (await told())[0]


async def test_a_kind_that_cannot_be_listed_holds_up_only_owners_beside_its_objects(bed: Bed) -> None:
    path = await bed.define("Foo")
    await bed.define("Bar", scope="Cluster")
    await bed.send("POST", "/api/v1/namespaces", {"metadata": {"name": "other"}})
    others = CONFIGS.replace("default", "other")
    kept, going = await bed.make(CONFIGS, "kept"), await bed.make(CONFIGS, "going")
    wide = await bed.make(BARS, "wide")
    await bed.make(FOOS, "orphaned", owner(kept))
    await bed.make(FOOS, "before", owner(going, blocking=True))
    await bed.make(FOOS, "below", owner(wide, blocking=True))
    await break_conversion(bed, path)
    await bed.start()
    # Beside objects that cannot be read, and above all Namespaces, nobody knows whose they are.
    await bed.send("DELETE", f"{CONFIGS}/kept?propagationPolicy=Orphan")
    await bed.send("DELETE", f"{CONFIGS}/going?propagationPolicy=Foreground")
    await bed.send("DELETE", f"{BARS}/wide?propagationPolicy=Foreground")
    for name in ("kept", "going", "wide"):
        said = await until_told(bed, name)
        assert "conversion webhook for foos.example.com failed" in said and "--cascade=background" in said
    # Elsewhere they are found one Namespace at a time.
    for policy in ("Orphan", "Foreground"):
        other = await bed.make(others, policy.lower())
        await bed.make(others, f"child-{policy.lower()}", owner(other, blocking=True))
        foo = {"apiVersion": "example.com/v2", "kind": "Foo"}
        metadata = {"name": f"foo-{policy.lower()}", "ownerReferences": [owner(other, blocking=True)]}
        theirs = FOOS.replace("v1", "v2").replace("default", "other")
        await bed.send("POST", theirs, {**foo, "metadata": metadata})
        await bed.send("DELETE", f"{others}/{policy.lower()}?propagationPolicy={policy}")
        await bed.until_gone(f"{others}/{policy.lower()}")
    assert await bed.owners_of(f"{theirs}/foo-orphan") == await bed.owners_of(f"{others}/child-orphan") == []
    assert not await bed.is_there(f"{theirs}/foo-foreground")
    # Owners that wait go on when the webhook is mended, and lose none of their dependents.
    for each in (f"{CONFIGS}/kept", f"{CONFIGS}/going", f"{BARS}/wide"):
        assert await bed.is_there(each)
    await mend(bed, path)
    for each in (f"{CONFIGS}/kept", f"{CONFIGS}/going", f"{BARS}/wide"):
        await bed.until_gone(each)
    assert await bed.owners_of(f"{FOOS}/orphaned") == []
    assert not await bed.is_there(f"{FOOS}/before") and not await bed.is_there(f"{FOOS}/below")


async def test_dependents_of_a_kind_that_cannot_be_listed_are_judged_when_it_can(bed: Bed) -> None:
    path = await bed.define("Foo")
    foo = await bed.make(FOOS, "foo")
    await bed.make(CONFIGS, "with", owner(foo))
    await bed.make(CONFIGS, "without", owner(foo, name="nobody", uid=ELSEWHERE))
    await break_conversion(bed, path)
    await bed.start()
    marker = await bed.make(CONFIGS, "marker")
    await bed.make(CONFIGS, "behind", owner(marker))
    await bed.send("DELETE", f"{CONFIGS}/marker?propagationPolicy=Background")
    await bed.until_gone(f"{CONFIGS}/behind")
    assert await bed.is_there(f"{CONFIGS}/without")
    await mend(bed, path)
    await bed.until_gone(f"{CONFIGS}/without")
    assert await bed.is_there(f"{CONFIGS}/with")


async def test_an_owner_need_not_wait_for_what_cannot_be_listed(bed: Bed) -> None:
    path = await bed.define("Foo")
    config = await bed.make(CONFIGS, "config")
    await bed.make(FOOS, "child", owner(config, blocking=True))
    await break_conversion(bed, path)
    await bed.start()
    await bed.send("DELETE", f"{CONFIGS}/config?propagationPolicy=Foreground")
    await until_told(bed, "config")
    await bed.send("DELETE", f"{CONFIGS}/config?propagationPolicy=Background")
    assert not await bed.is_there(f"{CONFIGS}/config")
    # Its own objects do not hold up the definition.
    await bed.send("DELETE", f"{path}?propagationPolicy=Foreground")
    await bed.until_gone(path)
