"""Evictions of Pods beside the PodDisruptionBudgets of their Namespace."""

from functools import partial

import msgspec

from boxfleet.api import admission, disruption_budget, kind
from boxfleet.planning import disruption


def accounts(pod: kind.JsonObject, look: admission.Look, now: str) -> list[admission.Account]:
    """The budget that an eviction counts against. Raises admission.Refused when there is more than one."""
    data = pod["metadata"]
    labels, namespace = data.get("labels") or {}, data["namespace"]
    found = [
        budget
        for budget in look.raw(disruption_budget.PodDisruptionBudget, namespace=namespace)
        if disruption.matches(_selector(budget), labels)
    ]
    if len(found) > 1:
        raise admission.Refused(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )
    if not found or disruption.judge(found[0], pod) == "free":
        return []
    return [
        admission.Account(
            kind=disruption_budget.PodDisruptionBudget.KIND,
            namespace=namespace,
            name=found[0]["metadata"]["name"],
            change=partial(_evicted, pod=data["name"], now=now),
        )
    ]


def _evicted(budget: kind.JsonObject, *, pod: str, now: str) -> kind.JsonObject:
    try:
        return disruption.evicted(budget, pod, now=now)
    except disruption.Refusal as refusal:
        raise admission.TooSoon(str(refusal), why=refusal.why) from None


def _selector(budget: kind.JsonObject) -> disruption_budget.LabelSelector | None:
    said = (budget.get("spec") or {}).get("selector")
    return msgspec.convert(said, disruption_budget.LabelSelector) if said is not None else None
