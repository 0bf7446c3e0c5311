"""PodDisruptionBudgets: how many Pods there should be, and how many may go (policy/v1)."""

import dataclasses
import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from boxfleet.api import disruption_budget
from boxfleet.kit import clock

Json = dict[str, Any]

# Seconds after which an eviction is taken not to have happened when its Pod is still there.
DELETION_TIMEOUT = 120.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """What counts about a Pod."""

    name: str
    ready: bool
    going: bool
    # Uid of its controller and the replicas that this one wants; 0 when it is nobody's.
    owner: str = ""
    wanted: int = 0


def matches(selector: disruption_budget.LabelSelector | None, labels: Mapping[str, str]) -> bool:
    """Whether labels are meant; an empty selector means all, none nothing."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in selector.matchLabels.items()):
        return False
    return all(_holds(each, labels) for each in selector.matchExpressions)


def _holds(wanted: disruption_budget.LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    key, values = wanted.key, wanted.values
    match wanted.operator:
        case "In":
            return key in labels and labels[key] in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def status(
    spec: disruption_budget.BudgetSpec,
    before: disruption_budget.BudgetStatus,
    pods: Sequence[Pod],
    *,
    now: datetime.datetime,
    generation: int,
) -> Json:
    """The whole status of a budget, but for conditions, of the Pods that it is about."""
    disrupted = {
        each.name: before.disruptedPods[each.name]
        for each in pods
        if each.name in before.disruptedPods and not each.going and _fresh(before.disruptedPods[each.name], now)
    }
    expected = _expected(spec, pods)
    desired = _desired(spec, expected=expected)
    healthy = sum(1 for each in pods if each.ready and not each.going and each.name not in disrupted)
    return {
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": expected,
        "disruptionsAllowed": max(0, healthy - desired) if expected > 0 else 0,
        "observedGeneration": generation,
        **({"disruptedPods": disrupted} if disrupted else {}),
    }


def _fresh(moment: str, now: datetime.datetime) -> bool:
    return (now - clock.parse(moment)).total_seconds() < DELETION_TIMEOUT


def _expected(spec: disruption_budget.BudgetSpec, pods: Collection[Pod]) -> int:
    """A plain number to keep is about the Pods that are there; shares are of what their controllers want."""
    if spec.maxUnavailable is None and not isinstance(spec.minAvailable, str):
        return len(pods)
    owners = {each.owner: each.wanted for each in pods if each.owner}
    return sum(owners.values()) + sum(1 for each in pods if not each.owner)


def _desired(spec: disruption_budget.BudgetSpec, *, expected: int) -> int:
    if spec.maxUnavailable is not None:
        return max(0, expected - _scaled(spec.maxUnavailable, expected))
    return _scaled(spec.minAvailable if spec.minAvailable is not None else 1, expected)


def _scaled(value: int | str, whole: int) -> int:
    """A number, or a share rounded up."""
    return value if isinstance(value, int) else -(-int(value.removesuffix("%")) * whole // 100)


class Refusal(Exception):
    """A Pod may not be evicted now; `why` is the cause beside the message."""

    def __init__(self, why: str) -> None:
        super().__init__("Cannot evict pod as it would violate the pod's disruption budget.")
        self.why = why


Verdict = Literal["free", "counted"]


def judge(budget: Json, pod: Json) -> Verdict:
    """Whether an eviction is free or counts against the budget (spec.unhealthyPodEvictionPolicy)."""
    status = pod.get("status") or {}
    if status.get("phase") in ("Succeeded", "Failed", "Pending") or "deletionTimestamp" in pod["metadata"]:
        return "free"
    conditions = status.get("conditions") or ()
    if any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions):
        return "counted"
    said = budget.get("status") or {}
    enough = said.get("currentHealthy", 0) >= said.get("desiredHealthy", 0) > 0
    always = (budget.get("spec") or {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow"
    return "free" if always or enough else "counted"


def evicted(budget: Json, pod: str, *, now: str) -> Json:
    """The budget with one Pod fewer to take away. Raises Refusal when there is none."""
    name = budget["metadata"]["name"]
    status = budget.get("status") or {}
    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        raise Refusal(f"The disruption budget {name} is still being processed by the server.")
    allowed = status.get("disruptionsAllowed", 0)
    if allowed <= 0:
        needs, has = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
        raise Refusal(f"The disruption budget {name} needs {needs} healthy pods and has {has} currently")
    disrupted = {**(status.get("disruptedPods") or {}), pod: now}
    return {**budget, "status": {**status, "disruptionsAllowed": allowed - 1, "disruptedPods": disrupted}}
