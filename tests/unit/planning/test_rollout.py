from hypothesis import given
from hypothesis import strategies as st

from boxfleet.planning import instances, rollout


def instance(ordinal: int, **fields: object) -> instances.Instance:
    return instances.Instance(
        **({"name": f"u-{ordinal}", "uid": f"uid-{ordinal}", "ordinal": ordinal, "ready": True} | fields)  # type: ignore[arg-type]
    )


def plan(replicas: int, existing: list[instances.Instance], old: set[int] = frozenset(), policy: str = "Always"):  # type: ignore[no-untyped-def, assignment]
    return rollout.plan(
        replicas=replicas,
        existing=existing,
        outdated={each.ordinal: each.ordinal in old for each in existing},
        restart_policy=policy,
    )


def test_all_missing_ordinals_are_made_at_once() -> None:
    assert plan(3, [instance(1)]).missing == (0, 2)


def test_scaling_down_takes_the_highest_first() -> None:
    steps = plan(1, [instance(each) for each in range(4)])
    assert [each.ordinal for each in steps.surplus] == [3, 2, 1]


def test_surplus_that_is_going_already_is_left_alone() -> None:
    assert plan(0, [instance(0, terminating=True)]).surplus == ()


def test_a_rolling_update_goes_from_the_top_one_at_a_time() -> None:
    steps = plan(3, [instance(0), instance(1), instance(2)], {0, 1, 2})
    assert [each.ordinal for each in steps.outdated] == [2]
    assert steps.updated == 0


def test_it_waits_for_the_replaced_one_to_be_ready() -> None:
    assert plan(3, [instance(0), instance(1), instance(2, ready=False)], {0, 1}).outdated == ()
    assert plan(3, [instance(0), instance(1)], {0, 1}).outdated == ()
    assert plan(3, [instance(0), instance(1), instance(2, terminating=True, ready=False)], {0, 1, 2}).outdated == ()


def test_broken_instances_of_an_old_revision_are_replaced_at_once() -> None:
    steps = plan(3, [instance(0, ready=False), instance(1), instance(2, ready=False)], {0, 1, 2})
    assert [each.ordinal for each in steps.outdated] == [2, 0]


def test_failed_instances_are_replaced_unless_they_never_restart() -> None:
    failed = instance(0, ready=False, failed=True)
    assert plan(1, [failed]).failed == (failed,)
    assert plan(1, [failed], policy="OnFailure").failed == (failed,)
    assert plan(1, [failed], policy="Never").failed == ()


@given(
    replicas=st.integers(min_value=1, max_value=6),
    ready=st.lists(st.booleans(), min_size=6, max_size=6),
    old=st.sets(st.integers(min_value=0, max_value=5)),
    gone=st.sets(st.integers(min_value=0, max_value=5)),
)
def test_a_rollout_never_takes_a_second_ready_instance(
    replicas: int, ready: list[bool], old: set[int], gone: set[int]
) -> None:
    existing = [instance(each, ready=ready[each]) for each in range(6) if each not in gone]
    steps = plan(replicas, existing, old)
    takes_ready = [each for each in steps.outdated if each.ready]
    assert len(takes_ready) <= 1
    if takes_ready:
        # Everything that is wanted is there and ready before a ready one goes.
        assert not steps.missing
        assert all(each.ready for each in existing if each.ordinal < replicas)


@given(replicas=st.integers(min_value=1, max_value=5), policy=st.sampled_from(["Always", "OnFailure", "Never"]))
def test_every_rollout_ends(replicas: int, policy: str) -> None:
    existing = {each: instance(each) for each in range(replicas)}
    old = set(existing)
    for _ in range(3 * replicas):
        steps = plan(replicas, list(existing.values()), old & set(existing), policy)
        for each in steps.outdated:
            del existing[each.ordinal]
            old.discard(each.ordinal)
        for ordinal in plan(replicas, list(existing.values()), old & set(existing), policy).missing:
            existing[ordinal] = instance(ordinal)
    assert not old
    assert steps.updated == replicas
