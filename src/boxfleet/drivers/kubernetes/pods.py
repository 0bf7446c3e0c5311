"""Pods of StatefulSets: which must go, which must stay away, which may come again.

A Pod that is to be away while its StatefulSet stays gets a finalizer and is deleted: its containers end, and its name
stays taken, so that the StatefulSet makes no other one. Without the finalizer it vanishes and is made anew. All others
of the StatefulSet go on being healed meanwhile.
"""

import re
from collections.abc import Mapping
from typing import Any

from boxfleet.api import labels
from boxfleet.drivers.kubernetes import names, objects, shape

JsonObject = dict[str, Any]

_ORDINAL = re.compile(r"-(\d+)$")


class Pods:
    """Ends Pods and keeps them away."""

    def __init__(self, via: objects.Objects) -> None:
        self._via = via

    async def settle(self, found: Mapping[str, JsonObject], plan: shape.Plan, *, grace: Mapping[str, int]) -> None:
        """Make Pods follow their orders. `found` is how they were before the StatefulSets were made."""
        reach = {body["metadata"]["name"]: _reach(body) for body in plan.sets}
        await objects.together(
            self._settle(pod, plan.orders.get(name, ""), reach, grace.get(instance_name(pod)))
            for name, pod in found.items()
            if name not in plan.once
        )

    async def let_go(self, pod: JsonObject) -> None:
        """Take the finalizer away, so that what has ended is gone."""
        if is_held(pod):
            await self._set(pod, [each for each in pod["metadata"]["finalizers"] if each != names.AWAY])

    async def _settle(self, pod: JsonObject, wanted: str, reach: Mapping[str, range], grace: int | None) -> None:
        metadata = pod["metadata"]
        leaving = bool(metadata.get("deletionTimestamp"))
        if wanted:
            if order(pod) != wanted and not leaving:
                await self._via.delete(names.PODS, pod, grace=grace)
            await self.let_go(pod)
        elif _index(pod) in reach.get(set_of(pod), ()):
            # Its StatefulSet would make it again.
            if not is_held(pod) and not leaving:
                await self._set(pod, [*(metadata.get("finalizers") or []), names.AWAY])
            if not leaving:
                await self._via.delete(names.PODS, pod, grace=grace)
        else:
            if not leaving or grace is not None:
                await self._via.delete(names.PODS, pod, grace=grace)
            await self.let_go(pod)

    async def _set(self, pod: JsonObject, finalizers: list[str]) -> None:
        metadata = pod["metadata"]
        change = {"metadata": {"uid": metadata["uid"], "finalizers": finalizers}}
        await self._via.merge(names.PODS, metadata["name"], change, namespace=metadata["namespace"])


def ordinal(pod: JsonObject) -> int | None:
    """The ordinal that a Pod is for; None for one that does not tell."""
    said = (pod["metadata"].get("labels") or {}).get(labels.ORDINAL)
    if said is not None:
        return int(said) if said.isdecimal() else None
    match = _ORDINAL.search(pod["metadata"]["name"])
    return int(match[1]) if match else None


def instance_name(pod: JsonObject) -> str:
    """The name of the instance that a Pod is."""
    number, unit = ordinal(pod), (pod["metadata"].get("labels") or {}).get(labels.UNIT, "")
    return "" if number is None else f"{unit}-{number}"


def order(pod: JsonObject) -> str:
    """The uid of the order that a Pod was made by; empty when it was made without one."""
    number = ordinal(pod)
    return "" if number is None else names.order_of(pod["metadata"].get("annotations") or {}, number)


def set_of(pod: JsonObject) -> str:
    """The StatefulSet that a Pod is of; empty for others."""
    for owner in pod["metadata"].get("ownerReferences") or []:
        if owner.get("controller") and owner["kind"] == names.SETS.kind:
            return str(owner["name"])
    return ""


def is_held(pod: JsonObject) -> bool:
    """Whether it is kept from being made anew."""
    return names.AWAY in (pod["metadata"].get("finalizers") or [])


def is_away(pod: JsonObject) -> bool:
    """Whether nothing of it runs any more: the kubelet deletes without grace when all has ended."""
    metadata = pod["metadata"]
    return bool(metadata.get("deletionTimestamp")) and is_held(pod) and metadata.get("deletionGracePeriodSeconds") == 0


def _index(pod: JsonObject) -> int:
    """The number that its StatefulSet gave it."""
    match = _ORDINAL.search(pod["metadata"]["name"])
    return int(match[1]) if match else -1


def _reach(body: JsonObject) -> range:
    """The numbers that a StatefulSet makes Pods for."""
    spec = body["spec"]
    start = int((spec.get("ordinals") or {}).get("start", 0))
    return range(start, start + int(spec["replicas"]))
