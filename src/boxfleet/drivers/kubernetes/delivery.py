"""Carrying out a plan: look, check that nobody else is in the way, make, and end what is not wanted.

Whatever it is interrupted at, the next delivery finishes: nothing is remembered here, all is read from the cluster.
"""

import asyncio
import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from boxfleet.api import labels, meta
from boxfleet.drivers.kubernetes import faults, names, objects, pods, settings, shape
from boxfleet.ports import cluster

JsonObject = dict[str, Any]

# Seconds for the cluster's controllers to see a change, and for a Pod to go whose name is needed.
_SEEN: Final = 10.0
_ENDED: Final = 40.0
_PAUSE: Final = 0.1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """What there is in a Namespace, by kind and name: metadata, of StatefulSets everything."""

    namespace: str
    exists: bool
    found: Mapping[names.Kind, Mapping[str, JsonObject]]

    def of_unit(self, own: settings.Settings, kind: names.Kind, unit: str) -> dict[str, JsonObject]:
        """What belongs to a Unit alone."""
        return {
            name: each
            for name, each in self.found.get(kind, {}).items()
            if names.is_ours(own, each) and each["metadata"]["labels"].get(labels.UNIT) == unit
        }

    def used_by(self, own: settings.Settings, kind: names.Kind, unit: str) -> dict[str, JsonObject]:
        """What a Unit uses beside others."""
        mark = f"{names.USED_BY}{unit}"
        return {
            name: each
            for name, each in self.found.get(kind, {}).items()
            if names.is_ours(own, each) and mark in each["metadata"]["labels"]
        }


class Delivery:
    """Makes and takes away the native objects of Units."""

    def __init__(self, own: settings.Settings, via: objects.Objects) -> None:
        self._own = own
        self._via = via
        self._pods = pods.Pods(via)

    async def deliver(self, share: cluster.Share, server: shape.Server) -> None:
        """Make what there is of a Unit what the share says."""
        scene = await self._look(names.space_there(self._own, share.namespace), server)
        if going := [each for each in scene.of_unit(self._own, names.SETS, share.unit).values() if _is_going(each)]:
            for each in going:
                await self._until_gone(names.SETS, each, _SEEN)
            scene = await self._look(scene.namespace, server)
        present = shape.Present(sets=scene.of_unit(self._own, names.SETS, share.unit))
        plan = shape.plan(self._own, share, present=present, server=server)
        self._check(scene, share, plan)
        if not scene.exists:
            await self._make_namespace(scene.namespace)
        await self._rehearse(present, plan)
        await self._make(scene, plan)
        await self._clear(scene, share, plan, server)
        before = scene.of_unit(self._own, names.PODS, share.unit)
        await self._pods.settle(before, plan, grace=share.grace)
        await objects.together(self._once(each, before, share.grace) for each in plan.once.values())

    async def withdraw(self, key: meta.Key, server: shape.Server) -> None:
        """Take away what there is of a Unit."""
        try:
            scene = await self._look(names.space_there(self._own, key.namespace), server)
        except (cluster.Taken, cluster.Unsupported):
            # Nothing can have been made there.
            return
        if not scene.exists:
            return
        # First what would make things anew, then what it made.
        for kind in (names.SETS, names.PODS, *_OTHERS, *_budgets(server)):
            found = scene.of_unit(self._own, kind, key.name)
            await objects.together(self._via.delete(kind, each) for each in found.values())
        held = scene.of_unit(self._own, names.PODS, key.name)
        await objects.together(self._pods.let_go(each) for each in held.values())
        for kind in _SHARED:
            shared = scene.used_by(self._own, kind, key.name)
            await objects.together(self._unuse(kind, each, key.name) for each in shared.values())

    async def renew(self, namespace: str, name: str) -> None:
        """End one instance; its StatefulSet makes it anew."""
        space = names.space_there(self._own, namespace)
        for pod in await self._via.list(names.PODS, namespace=space, labels=f"{names.FLEET}={self._own.fleet}"):
            if pods.instance_name(pod) == name and not pod["metadata"].get("deletionTimestamp"):
                await self._via.delete(names.PODS, pod)

    async def _look(self, namespace: str, server: shape.Server) -> _Scene:
        space = await self._via.find(names.NAMESPACES, namespace)
        if space is None:
            return _Scene(namespace=namespace, exists=False, found={})
        if space["metadata"].get("deletionTimestamp"):
            raise cluster.ClusterFault(f"namespace {namespace} is being deleted there: wait until it is gone")
        if not names.is_ours(self._own, space) and not self._own.adopt_namespaces:
            raise cluster.Taken(
                f"namespace {namespace} is there already and is not Boxfleet's: set spec.kubernetes.namespacePrefix of "
                f"the Cluster, or adoptNamespaces when it may be used, or label it {names.FLEET}={self._own.fleet}"
            )
        kinds = (names.SETS, names.PODS, *_OTHERS, *_budgets(server))
        found: dict[names.Kind, Mapping[str, JsonObject]] = {}

        async def one(kind: names.Kind) -> None:
            try:
                listed = await self._via.list(kind, namespace=namespace, whole=kind is names.SETS)
            except cluster.Denied:
                if kind not in _budgets(server):
                    raise
                # Only who asks for one is refused.
                listed = []
            found[kind] = {each["metadata"]["name"]: each for each in listed}

        await objects.together(one(kind) for kind in kinds)
        return _Scene(namespace=namespace, exists=True, found=found)

    def _check(self, scene: _Scene, share: cluster.Share, plan: shape.Plan) -> None:
        """Raise Taken for a name that somebody else has."""
        wanted = [
            *plan.objects,
            *((names.CLAIMS, each) for each in plan.kept),
            *((names.SETS, each) for each in plan.sets),
            *((names.PODS, each) for each in plan.once.values()),
        ]
        for kind, body in wanted:
            name = body["metadata"]["name"]
            there = scene.found.get(kind, {}).get(name)
            if there is None:
                continue
            if not names.is_ours(self._own, there):
                raise cluster.Taken(
                    f"{kind.kind} {name} in namespace {scene.namespace} is there already and belongs to somebody else: "
                    "rename the Unit, or set spec.kubernetes.namespacePrefix of the Cluster"
                )
            other = there["metadata"]["labels"].get(labels.UNIT, "")
            if other != body["metadata"]["labels"].get(labels.UNIT, ""):
                owner = f"Unit {other}" if other else "several Units"
                raise cluster.Taken(
                    f"{kind.kind} {name} in namespace {scene.namespace} belongs to {owner}: rename Unit {share.unit}"
                )
        for name in plan.orders:
            there = scene.found.get(names.PODS, {}).get(name)
            if there is not None and not names.is_ours(self._own, there):
                raise cluster.Taken(f"Pod {name} in namespace {scene.namespace} belongs to somebody else")

    async def _make_namespace(self, namespace: str) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": namespace, "labels": {names.FLEET: self._own.fleet}},
        }
        try:
            await self._via.create(names.NAMESPACES, body)
        except faults.Conflict:
            # Another Unit's delivery was quicker.
            return

    async def _rehearse(self, present: shape.Present, plan: shape.Plan) -> None:
        """Have the cluster say what it would not take, before anything is made."""
        for body in plan.sets:
            if _is_known(body, present.sets.get(body["metadata"]["name"])):
                continue
            try:
                await self._via.apply(names.SETS, body, dry=True)
            except faults.Invalid as error:
                if _is_fixed(error):
                    # Such an object is made anew.
                    plan.anew = body["metadata"]["name"]
                    continue
                raise cluster.Unsupported(f"spec: {error}") from None

    async def _make(self, scene: _Scene, plan: shape.Plan) -> None:
        await objects.together(self._via.apply(kind, body, manager=_manager(body)) for kind, body in plan.objects)
        await objects.together(self._keep(scene, body) for body in plan.kept)
        if plan.anew and (there := scene.found.get(names.SETS, {}).get(plan.anew)) is not None:
            await self._via.delete(names.SETS, there, propagation="Orphan")
            await self._until_gone(names.SETS, there, _SEEN)
        for name in plan.empty:
            change = {"spec": {"replicas": 0}}
            await self._via.merge(names.SETS, name, change, namespace=scene.namespace)
        await objects.together(self._put_set(body) for body in plan.sets)

    async def _put_set(self, body: JsonObject) -> None:
        """Apply a StatefulSet; returns when the cluster's controller has seen it: from then on it makes such Pods."""
        made = await self._via.apply(names.SETS, body)
        metadata = made["metadata"]
        # In vain only delays: a Pod of an older template is found by its order.
        for _ in range(int(_SEEN / _PAUSE)):
            if (made.get("status") or {}).get("observedGeneration", 0) >= metadata["generation"]:
                return
            await asyncio.sleep(_PAUSE)
            found = await self._via.find(names.SETS, metadata["name"], namespace=metadata["namespace"])
            if found is None:
                return
            made = found

    async def _keep(self, scene: _Scene, body: JsonObject) -> None:
        """Make a claim that is not there; of one that is, only the size may grow."""
        name = body["metadata"]["name"]
        there = scene.found.get(names.CLAIMS, {}).get(name)
        if there is None:
            try:
                await self._via.create(names.CLAIMS, body)
            except faults.Conflict:
                # A StatefulSet made it in between, or another Unit.
                await self._via.merge(names.CLAIMS, name, _marks(body), namespace=scene.namespace)
            return
        if _is_going(there):
            raise cluster.ClusterFault(f"claim {name} in namespace {scene.namespace} is being deleted: wait for it")
        lacking = body["metadata"]["labels"].items() - there["metadata"]["labels"].items()
        if lacking:
            await self._via.merge(names.CLAIMS, name, _marks(body), namespace=scene.namespace)

    async def _once(self, body: JsonObject, before: Mapping[str, JsonObject], grace: Mapping[str, int]) -> None:
        """A plain Pod; one of another order goes first."""
        name = body["metadata"]["name"]
        there = before.get(name)
        if there is not None:
            same = names.order_of(there["metadata"].get("annotations") or {}, -1) == pods.order(body)
            if same and not _is_going(there):
                return
            await self._via.delete(names.PODS, there, grace=grace.get(name))
            await self._until_gone(names.PODS, there, _ENDED)
        try:
            await self._via.create(names.PODS, body)
        except faults.Conflict as error:
            raise cluster.Unreachable(f"{error}; it is tried again") from None
        except faults.Invalid as error:
            raise cluster.Unsupported(f"spec: {error}") from None

    async def _until_gone(self, kind: names.Kind, there: JsonObject, seconds: float) -> None:
        metadata = there["metadata"]
        for _ in range(int(seconds / _PAUSE)):
            found = await self._via.find(kind, metadata["name"], namespace=metadata["namespace"])
            if found is None or found["metadata"]["uid"] != metadata["uid"]:
                return
            await asyncio.sleep(_PAUSE)
        raise cluster.Unreachable(
            f"{kind.kind} {metadata['name']} in namespace {metadata['namespace']} still ends: it is tried again"
        )

    async def _clear(self, scene: _Scene, share: cluster.Share, plan: shape.Plan, server: shape.Server) -> None:
        """End what belongs to the Unit and is not wanted; claims stay as long as the Unit."""
        wanted = {(kind, body["metadata"]["name"]) for kind, body in plan.objects}
        wanted |= {(names.SETS, body["metadata"]["name"]) for body in plan.sets}
        wanted |= {(names.SETS, name) for name in plan.empty}
        kinds = [names.SETS, *(kind for kind in _OTHERS if kind is not names.CLAIMS), *_budgets(server)]
        for kind in kinds:
            for name, each in scene.of_unit(self._own, kind, share.unit).items():
                if (kind, name) not in wanted:
                    await self._via.delete(kind, each)
        used = {(kind, body["metadata"]["name"]) for kind, body in plan.objects}
        for kind in (names.CONFIG_MAPS, names.SECRETS):
            for name, each in scene.used_by(self._own, kind, share.unit).items():
                if (kind, name) not in used and share.orders:
                    await self._unuse(kind, each, share.unit)

    async def _unuse(self, kind: names.Kind, found: JsonObject, unit: str) -> None:
        metadata = found["metadata"]
        others = [each for each in metadata["labels"] if each.startswith(names.USED_BY)]
        if others == [f"{names.USED_BY}{unit}"]:
            await self._via.delete(kind, found)
            return
        change = {"metadata": {"uid": metadata["uid"], "labels": {f"{names.USED_BY}{unit}": None}}}
        await self._via.merge(kind, metadata["name"], change, namespace=metadata["namespace"])


_SHARED: Final = (names.CONFIG_MAPS, names.SECRETS, names.CLAIMS)
_OTHERS: Final = (names.SERVICES, *_SHARED)


def _budgets(server: shape.Server) -> tuple[names.Kind, ...]:
    return () if server.budgets is None else (server.budgets,)


def _manager(body: JsonObject) -> str:
    """Of what several Units use each owns what it says: else one would take the mark of another away."""
    for name in body["metadata"]["labels"]:
        if name.startswith(names.USED_BY):
            return f"{names.MANAGER}-{name.removeprefix(names.USED_BY)}"
    return names.MANAGER


def _marks(body: JsonObject) -> JsonObject:
    return {"metadata": {"labels": body["metadata"]["labels"]}}


def _is_going(found: JsonObject) -> bool:
    return bool(found["metadata"].get("deletionTimestamp"))


def _is_known(body: JsonObject, there: JsonObject | None) -> bool:
    """Whether the cluster has taken a StatefulSet of the same orders before."""
    if there is None:
        return False
    said, known = (each["spec"]["template"]["metadata"].get("annotations") or {} for each in (body, there))
    return all(said.get(name) == known.get(name) for name in (names.ORDER, names.ORDERS))


def _is_fixed(error: faults.Invalid) -> bool:
    return "updates to statefulset spec for fields other than" in str(error)
