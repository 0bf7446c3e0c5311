"""How many Pods may go."""

import datetime

import pytest

from boxfleet.api import disruption_budget
from boxfleet.kit import clock
from boxfleet.planning import disruption

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def pods(count: int, *, ready: int, wanted: int = 0) -> list[disruption.Pod]:
    return [
        disruption.Pod(name=f"p-{n}", ready=n < ready, going=False, owner="u" if wanted else "", wanted=wanted)
        for n in range(count)
    ]


@pytest.mark.parametrize(
    ("spec", "there", "allowed"),
    [
        ({"minAvailable": 2}, pods(3, ready=3), 1),
        ({"minAvailable": 2}, pods(3, ready=1), 0),
        ({"minAvailable": "50%"}, pods(3, ready=3, wanted=5), 0),
        ({"minAvailable": "50%"}, pods(5, ready=5, wanted=5), 2),
        ({"maxUnavailable": 1}, pods(3, ready=3, wanted=4), 0),
        ({"maxUnavailable": 1}, pods(4, ready=4, wanted=4), 1),
        ({"maxUnavailable": "30%"}, pods(4, ready=4, wanted=4), 2),
        ({"maxUnavailable": 5}, [], 0),
        ({}, pods(2, ready=2), 1),
    ],
)
def test_what_may_go(spec: dict[str, int | str], there: list[disruption.Pod], allowed: int) -> None:
    wanted = disruption_budget.BudgetSpec(**spec)  # type: ignore[arg-type]
    before = disruption_budget.BudgetStatus()
    found = disruption.status(wanted, before, there, now=NOW, generation=3)
    assert (found["disruptionsAllowed"], found["observedGeneration"]) == (allowed, 3)


def test_what_was_let_go_counts_as_gone_for_a_while() -> None:
    wanted = disruption_budget.BudgetSpec(minAvailable=1)
    early, late = (clock.stamp(NOW - datetime.timedelta(seconds=ago)) for ago in (10, 130))
    before = disruption_budget.BudgetStatus(disruptedPods={"p-0": early, "p-1": late, "gone": early})
    found = disruption.status(wanted, before, pods(3, ready=3), now=NOW, generation=1)
    assert found["disruptedPods"] == {"p-0": early}
    assert (found["currentHealthy"], found["disruptionsAllowed"]) == (2, 1)
