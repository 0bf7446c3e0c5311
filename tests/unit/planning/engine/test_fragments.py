"""GPUs are kept whole for what is typically asked."""

from hypothesis import given, settings
from hypothesis import strategies as st

from boxfleet.planning.engine import asks, fragments, places, policies, table

GI = 2**30


def place(name: str, *gpus: int, cpu: int = 32000) -> places.Place:
    return places.Place(name=name, offers={"cpu": cpu, "memory": 256 * GI, "pods": 110}, gpus=gpus)


def ask(cpu: int, *, milli: int = 0, count: int = 1) -> asks.Ask:
    gpus = asks.Gpus(count=count, milli=milli) if milli else None
    return asks.Ask(requests={"cpu": cpu, "memory": GI, "pods": 1}, gpus=gpus)


def known(*many: places.Place, typical: dict[fragments.Shape, int]) -> table.Table:
    found = table.Table(many, policy=policies.DEVICES)
    found.prefer(fragments.Fragments(typical))
    return found


WHOLE = (4000, GI, 1, 1000)
HALF = (4000, GI, 1, 500)


def test_a_share_goes_to_the_device_that_is_begun() -> None:
    fleet = known(place("a", 1000, 1000), place("b", 1000, 500), typical={WHOLE: 1, HALF: 1})
    assert fleet.choose(ask(4000, milli=500)).place == "b"
    assert fleet.take("b", ask(4000, milli=500)) == (1,)
    assert fleet["b"].gpus == (1000, 0)


def test_who_needs_no_device_goes_where_none_loses_its_cpu() -> None:
    fleet = known(place("a", 1000, 1000, cpu=8000), place("b", 1000, 1000), typical={WHOLE: 1})
    assert fleet.choose(ask(4000)).place == "b"
    fleet.set(place("c"))
    fleet.take("b", ask(24000))
    assert fleet.choose(ask(4000)).place == "c"


def test_without_anything_typical_the_fullest_device_that_will_do_is_taken() -> None:
    fleet = table.Table([place("a", 1000, 700, 400)])
    assert fleet.take("a", ask(1, milli=300)) == (2,)
    assert fleet.take("a", ask(1, milli=300)) == (1,)
    assert fleet.take("a", ask(1, milli=400, count=2)) == (1, 0)
    assert fleet.choose(ask(1, milli=700)).why_not == (
        "0/1 nodes are available: 1 Insufficient GPUs (asks 1 of 700/1000 each)."
    )


def test_what_is_typical_is_learned_from_what_comes() -> None:
    learner = fragments.Typical()
    due = [learner.add(ask(4000, milli=500)) for _ in range(20)]
    assert [number for number, each in enumerate(due, 1) if each] == [1, 4, 16]
    assert not learner.add(ask(4000))
    for _ in range(5):
        learner.add(ask(4000, milli=1000))
    fleet = known(place("a", 1000), place("b", 500), typical={})
    assert fleet.choose(ask(4000, milli=500)).place == "a"
    fleet.prefer(learner.fragments())
    assert fleet.choose(ask(4000, milli=500)).place == "b"


SHAPES = st.tuples(
    st.integers(0, 9000), st.integers(0, 9).map(lambda one: one * GI), st.integers(1, 3), st.integers(1, 1000)
)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(st.integers(0, 1000), max_size=4), min_size=1, max_size=5),
    st.dictionaries(SHAPES, st.integers(1, 2), max_size=5),
    st.integers(0, 1000),
    st.integers(1, 2),
)
def test_a_figure_is_the_difference_of_what_is_stranded_before_and_after(
    gpus: list[list[int]], typical: dict[fragments.Shape, int], milli: int, count: int
) -> None:
    fleet = known(*(place(f"n{row}", *free) for row, free in enumerate(gpus)), typical=typical)
    question = ask(5000, milli=milli, count=count if milli == 1000 else 1)
    before = fleet.scores(fleet.kind(question)).copy()
    for row in range(len(gpus)):
        if before[row] == float("-inf"):
            continue
        name = f"n{row}"
        devices = fleet.take(name, question)
        after = stranded(fleet[name], typical)
        fleet.give(name, question, devices=devices)
        growth = after - stranded(fleet[name], typical)
        assert abs(fleet.parts(question, name)["devices"] + growth / 1000) < 1e-6


def stranded(here: places.Place, typical: dict[fragments.Shape, int]) -> float:
    """The two measures, in plain words."""
    free = {name: here.offers[name] - here.used.get(name, 0) for name in ("cpu", "memory")}
    total = sum(here.gpus)
    many = sum(typical.values())
    devices = sum(count * shape[2] * shape[3] for shape, count in typical.items())
    found = 0.0
    for (cpu, memory, count, milli), often in typical.items():
        able = [each for each in here.gpus if each >= milli]
        fits = free["cpu"] >= cpu and free["memory"] >= memory and len(able) >= count
        found += often / many * (total - (sum(able) if fits else 0))
        most = min(free["cpu"] / cpu if cpu else 1e18, free["memory"] / memory if memory else 1e18) * count * milli
        found += 0.25 * often * count * milli / devices * (total - min(total, most))
    return found
