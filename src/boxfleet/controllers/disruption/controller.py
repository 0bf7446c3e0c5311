"""The disruption controller's loop."""

from typing import Any

from boxfleet.api import disruption_budget, meta, pod, unit
from boxfleet.client import client, loop
from boxfleet.controllers import caches
from boxfleet.kit import clock
from boxfleet.planning import conditions, disruption, instances

# Seconds until a Pod that should have gone counts again, with a little over.
_AGAIN = disruption.DELETION_TIMEOUT + 1


class DisruptionController:
    """Keeps the status of budgets true."""

    def __init__(self, api: client.Client, indexed: caches.Indexed, *, clock: clock.Clock) -> None:
        self._api = api
        self._clock = clock
        self._pods = indexed.pods
        self._units = indexed.units
        self._budgets = indexed.shared.of(disruption_budget.PodDisruptionBudget)
        self._loop: loop.Loop[meta.Key] = loop.Loop("disruption", self.reconcile)
        self.run = self._loop.run
        self._budgets.listen(self._budget_changed)
        self._pods.listen(self._pod_changed)
        self._units.listen(self._unit_changed)

    async def reconcile(self, key: meta.Key) -> float | None:
        """Count for one budget; raises Conflict when something was evicted meanwhile, and is called again."""
        budget = self._budgets.get(key)
        if budget is None or budget.metadata.deletionTimestamp:
            return None
        found = [
            self._view(each)
            for each in self._pods
            if each.metadata.namespace == key.namespace
            and each.status.phase not in ("Succeeded", "Failed")
            and disruption.matches(budget.spec.selector, each.metadata.labels)
        ]
        now = self._clock.now()
        wanted = disruption.status(budget.spec, budget.status, found, now=now, generation=budget.metadata.generation)
        said = conditions.Conditions(budget.status.conditions, now=clock.stamp(now))
        if wanted["disruptionsAllowed"] > 0:
            said.put("DisruptionAllowed", "True", "SufficientPods", "")
        else:
            said.put("DisruptionAllowed", "False", "InsufficientPods", "")
        wanted["conditions"] = [meta.to_dict(each) for each in said.items]
        await self._write(budget, wanted)
        return _AGAIN if "disruptedPods" in wanted else None

    async def _write(self, budget: disruption_budget.PodDisruptionBudget, status: dict[str, Any]) -> None:
        data = budget.metadata
        # Those that are no longer there must be said to be gone.
        gone = dict.fromkeys(budget.status.disruptedPods.keys() - status.get("disruptedPods", {}).keys())
        if gone:
            status = status | {"disruptedPods": {**gone, **status.get("disruptedPods", {})}}
        change = {"metadata": {"uid": data.uid, "resourceVersion": data.resourceVersion}, "status": status}
        await self._api.patch(
            disruption_budget.PodDisruptionBudget, data.name, change, namespace=data.namespace, subresource="status"
        )

    def _view(self, subject: pod.Pod) -> disruption.Pod:
        owner = caches.owner_key(subject, unit.Unit)
        found = self._units.get(owner) if owner is not None else None
        return disruption.Pod(
            name=subject.metadata.name,
            ready=instances.is_ready(subject),
            going=bool(subject.metadata.deletionTimestamp),
            owner=found.metadata.uid if found is not None else "",
            wanted=found.spec.replicas if found is not None else 0,
        )

    def _budget_changed(
        self,
        old: disruption_budget.PodDisruptionBudget | None,
        new: disruption_budget.PodDisruptionBudget | None,
    ) -> None:
        if new is not None:
            self._loop.add(new.key)

    def _pod_changed(self, old: pod.Pod | None, new: pod.Pod | None) -> None:
        for each in self._budgets:
            if any(
                subject is not None
                and subject.metadata.namespace == each.metadata.namespace
                and disruption.matches(each.spec.selector, subject.metadata.labels)
                for subject in (old, new)
            ):
                self._loop.add(each.key)

    def _unit_changed(self, old: unit.Unit | None, new: unit.Unit | None) -> None:
        if old is not None and new is not None and old.spec.replicas != new.spec.replicas:
            for each in self._budgets:
                if each.metadata.namespace == new.metadata.namespace:
                    self._loop.add(each.key)
