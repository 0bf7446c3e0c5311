"""How many hosts pools make, and which go."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxfleet.api import labels, node, pod_affinity
from boxfleet.planning import node_pools, scheduling

GI = 2**30


def instance(key: str, *, cpu: int = 1000, memory: int = GI, **more: Any) -> node_pools.Instance:
    own = {name: more.pop(name) for name in ("priority", "stays", "budget") if name in more}
    ask = scheduling.Ask(requests={"cpu": cpu, "memory": memory, "pods": 1}, **more)
    return node_pools.Instance(key=key, ask=ask, **own)


def many(count: int, **more: Any) -> list[node_pools.Instance]:
    return [instance(f"i{number}", **more) for number in range(count)]


def pool(name: str = "small", *, cpu: int = 4000, **more: Any) -> node_pools.Pool:
    given = {"max": 10, "cluster": "local", "offers": {"cpu": cpu, "memory": 16 * GI}} | more
    return node_pools.Pool(name=name, **given)


def place(name: str, inside: list[node_pools.Instance] | None = None, **more: Any) -> scheduling.Place:
    offers = {"cpu": 4000, "memory": 16 * GI, "pods": 110}
    made = scheduling.Place(**{"name": name, "cluster": "local", "offers": offers} | more)
    for each in inside or ():
        made.take(each.ask)
    return made


def new(pending: list[node_pools.Instance], *pools: node_pools.Pool, places: Any = ()) -> dict[str, int]:
    return dict(node_pools.grow(pending, places, pools).new)


def test_as_few_hosts_as_hold_what_waits() -> None:
    assert new(many(8), pool()) == {"small": 2}
    assert new(many(9), pool()) == {"small": 3}
    assert new([*many(3, cpu=3000), instance("a"), instance("b"), instance("c")], pool()) == {"small": 3}


def test_nothing_is_made_for_what_fits_or_is_coming() -> None:
    assert new(many(4), pool(), places=[place("n")]) == {}
    assert new(many(8), pool(coming=("small-1",), machines=1), places=[place("n")]) == {}
    assert new(many(9), pool(coming=("small-1",), machines=1), places=[place("n")]) == {"small": 1}


def test_nothing_is_made_that_would_not_help() -> None:
    grown = node_pools.grow(many(1, cpu=5000), (), [pool()])
    assert (grown.new, [each.key for each in grown.helpless]) == ({}, ["i0"])
    assert new(many(1, pinned="n1"), pool()) == {}
    assert new(many(1, cluster="other"), pool()) == {}
    assert new(many(1, selector={"disk": "ssd"}), pool()) == {}
    assert new(many(1, selector={"disk": "ssd"}), pool(labels={"disk": "ssd"})) == {"small": 1}
    tainted = pool(taints=(node.Taint(key="gpu", effect="NoSchedule"),))
    assert new(many(1), tainted) == {}
    assert new(many(1, tolerations=(pod_affinity.Toleration(key="gpu", operator="Exists"),)), tainted) == {"small": 1}


def test_the_most_is_never_exceeded_and_the_least_is_always_there() -> None:
    assert new(many(40), pool(max=3)) == {"small": 3}
    assert new(many(40), pool(max=3, machines=2)) == {"small": 1}
    assert new([], pool(min=2)) == {"small": 2}
    assert new([], pool(min=2, staying=1, machines=1)) == {"small": 1}
    assert new([], pool(min=2, staying=1, machines=2, max=2)) == {}
    # Those of the minimum are there for who waits.
    assert new(many(8), pool(min=2)) == {"small": 2}


def test_the_first_in_order_that_helps_comes_first_and_then_the_next() -> None:
    own, rented = pool("own", order=1, max=1, price=9), pool("rented", order=2, price=1)
    assert new(many(4), own, rented) == {"own": 1}
    assert new(many(9), own, rented) == {"own": 1, "rented": 2}
    closed = pool("own", order=1, open=False)
    assert new(many(4), closed, rented) == {"rented": 1}
    assert new(many(1, cpu=8000), own, pool("large", cpu=8000, order=3)) == {"large": 1}


def test_of_the_same_order_the_cheapest_for_what_waits_is_taken() -> None:
    small, large = pool(price=1.0), pool("large", cpu=16000, price=3.0)
    assert new(many(2), small, large) == {"small": 1}
    assert new(many(16), small, large) == {"large": 1}


def test_the_most_important_come_first_where_not_all_find_room() -> None:
    vital = instance("z", cpu=4000, priority=10)
    grown = node_pools.grow([*many(4), vital], (), [pool(max=1)])
    assert [each.key for each in grown.helpless] == ["i0", "i1", "i2", "i3"]


def shrink(
    hosts: list[node_pools.Host],
    *pools: node_pools.Pool,
    pending: Any = (),
    others: Any = (),
    budgets: dict[str, int] | None = None,
) -> node_pools.Shrinkage:
    places = [*others, *(place(host.name, list(host.instances)) for host in hosts)]
    return node_pools.shrink(pending, places, hosts, pools, budgets=budgets or {})


def host(name: str, *inside: node_pools.Instance, unneeded: float | None = 999.0, **more: Any) -> node_pools.Host:
    return node_pools.Host(name=name, pool="small", instances=inside, unneeded=unneeded, **more)


def test_a_host_goes_when_what_runs_there_fits_elsewhere_for_long_enough() -> None:
    one, two = host("a", instance("x")), host("b", instance("y", cpu=2500), unneeded=None)
    found = shrink([one, two], pool(ready=2))
    assert (found.unneeded, list(found.go)) == ({"a"}, ["a"])
    assert "fits on no other host" in shrink([host("a", instance("x")), host("b", *many(4))], pool(ready=2)).needed["a"]
    fresh = shrink([host("a", instance("x"), unneeded=10.0), two], pool(ready=2))
    assert (fresh.unneeded, list(fresh.go)) == ({"a"}, [])


@pytest.mark.parametrize(
    ("one", "the_pool", "budgets", "why"),
    [
        (host("a", instance("x", stays="nothing makes it again")), pool(ready=2), {}, "nothing makes it again"),
        (host("a", stays="it keeps data of default/data"), pool(ready=2), {}, "keeps data"),
        (host("a", instance("x", budget="b")), pool(ready=2), {"b": 0}, "disruption budget b"),
        (host("a", instance("x", cpu=2000)), pool(ready=2), {}, "50% of it is requested"),
        (host("a"), pool(ready=2, min=2), {}, "the pool keeps 2"),
        (host("a"), pool(ready=2, budget=0), {}, "scale-down is off"),
    ],
)
def test_what_keeps_a_host(one: node_pools.Host, the_pool: node_pools.Pool, budgets: Any, why: str) -> None:
    found = shrink([one], the_pool, others=[place("n")], budgets=budgets)
    assert not found.unneeded
    assert why in found.needed["a"]


def test_who_waits_for_room_needs_the_host_that_has_it() -> None:
    found = shrink([host("a")], pool(ready=1), pending=many(3))
    assert not found.unneeded


def test_no_more_leave_at_once_than_the_pool_may_miss() -> None:
    hosts = [host(name) for name in "abc"]
    assert shrink(hosts, pool(ready=3)).unneeded == {"a", "b", "c"}
    assert list(shrink(hosts, pool(ready=3)).go) == ["a"]
    assert list(shrink(hosts, pool(ready=3, leaving=1)).go) == []
    assert list(shrink(hosts, pool(ready=3, budget=2, min=1)).go) == ["a", "b"]


def test_of_two_that_are_alike_the_one_that_was_unneeded_stays_so() -> None:
    small = [instance("x"), instance("y")]
    hosts = [host("a", small[0], unneeded=None), host("b", small[1], unneeded=5.0)]
    assert shrink(hosts, pool(ready=2, min=1)).unneeded == {"b"}


ASKS = st.lists(
    st.builds(
        lambda number, cpu, memory, ssd: (number, cpu * 100, memory * GI, ssd),
        st.integers(0, 10**6),
        st.integers(1, 60),
        st.integers(1, 20),
        st.booleans(),
    ),
    max_size=30,
    unique_by=lambda each: each[0],
)
POOLS = st.lists(
    st.builds(
        lambda cpu, most, least, order, price, ssd, opened, machines: (
            (cpu * 1000, max(least, most), least, order, price, ssd, opened, machines)
        ),
        st.integers(1, 8),
        st.integers(0, 6),
        st.integers(0, 3),
        st.integers(1, 2),
        st.integers(0, 5),
        st.booleans(),
        st.booleans(),
        st.integers(0, 3),
    ),
    max_size=4,
)


def drawn(asks: Any, pools: Any) -> tuple[list[node_pools.Instance], list[node_pools.Pool]]:
    pending = [
        instance(f"i{number}", cpu=cpu, memory=memory, selector={"disk": "ssd"} if ssd else {})
        for number, cpu, memory, ssd in asks
    ]
    made = [
        pool(
            f"p{index}",
            cpu=cpu,
            max=most,
            min=least,
            order=order,
            price=float(price),
            open=opened,
            labels={"disk": "ssd"} if ssd else {},
            machines=min(machines, most),
            staying=min(machines, most),
            coming=tuple(f"p{index}-{number}" for number in range(min(machines, most))),
        )
        for index, (cpu, most, least, order, price, ssd, opened, machines) in enumerate(pools)
    ]
    return pending, made


@settings(deadline=None)
@given(asks=ASKS, pools=POOLS, seed=st.randoms())
def test_growing_keeps_its_bounds_and_comes_to_rest(asks: Any, pools: Any, seed: Any) -> None:
    pending, made = drawn(asks, pools)
    grown = node_pools.grow(pending, (), made)
    shuffled = list(pending)
    seed.shuffle(shuffled)
    assert node_pools.grow(shuffled, (), list(reversed(made))).new == grown.new
    after = []
    for each in made:
        count = grown.new.get(each.name, 0)
        assert each.machines + count <= each.max
        assert not count or each.open
        if each.open:
            assert each.staying + count >= each.min
        coming = (*each.coming, *(f"{each.name}-new{number}" for number in range(count)))
        more = {"machines": each.machines + count, "staying": each.staying + count, "coming": coming}
        after.append(_with(each, **more))
    # What is on its way is enough: asking again asks for nothing.
    assert node_pools.grow(pending, (), after).new == {}


@settings(deadline=None)
@given(asks=ASKS, count=st.integers(1, 5), least=st.integers(0, 2))
def test_what_goes_is_not_made_again(asks: Any, count: int, least: int) -> None:
    every, _ = drawn([(number, cpu, memory, False) for number, cpu, memory, _ in asks], [])
    inside: list[list[node_pools.Instance]] = [[] for _ in range(count)]
    places = [place(f"h{index}") for index in range(count)]
    for each in every:
        index = next((one for one in range(count) if not scheduling.obstacles(each.ask, places[one])), None)
        if index is not None:
            places[index].take(each.ask)
            inside[index].append(each)
    hosts = [host(f"h{index}", *inside[index]) for index in range(count)]
    own = pool(ready=count, staying=count, machines=count, min=least, budget=9, utilization=1.0)
    found = node_pools.shrink((), places, hosts, [own], budgets={})
    assert len(found.go) <= max(0, count - least)
    again = node_pools.shrink((), list(reversed(places)), list(reversed(hosts)), [own], budgets={})
    assert again == found
    stay = [each for each in places if each.name not in found.go]
    for name in found.go[:1]:
        gone = _with(own, ready=count - 1, staying=count - 1, machines=count - 1)
        moved = list(next(each.instances for each in hosts if each.name == name))
        rest = [each for each in places if each.name != name]
        assert node_pools.grow(moved, rest, [gone]).new == {}
    assert len(stay) >= min(least, count)


def _with(each: node_pools.Pool, **more: Any) -> node_pools.Pool:
    fields = {name: getattr(each, name) for name in node_pools.Pool.__slots__}
    return node_pools.Pool(**fields | more)


def test_a_new_host_is_known_by_its_pool() -> None:
    made = node_pools.host_of(pool(labels={"disk": "ssd"}), "small-1")
    assert made.labels[labels.NODE_POOL] == "small" and made.labels["disk"] == "ssd"
