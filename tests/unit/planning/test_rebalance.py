"""Which instances are moved: few, worth it, and only where they fit."""

import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxfleet.api import meta, rebalance
from boxfleet.planning import rebalance as planning
from boxfleet.planning import scheduling

OFFERS = {"cpu": 4000, "memory": 8 * 2**30, "pods": 50}


def policy(**fields: Any) -> rebalance.Rebalance:
    return msgspec.convert({"mode": "Even", **fields}, rebalance.Rebalance)


def guest(name: str, *, cpu: float, asks: int = 100, unit: str = "", held: str = "") -> planning.Guest:
    return planning.Guest(
        key=meta.Key("default", name),
        unit=meta.Key("default", unit or name),
        ask=scheduling.Ask(requests={"cpu": asks, "pods": 1}),
        use={"cpu": cpu, "memory": 2**20},
        held=held,
    )


def host(name: str, *guests: planning.Guest, **fields: Any) -> planning.Host:
    place = scheduling.Place(name=name, offers=dict(OFFERS), **fields)
    for each in guests:
        place.take(each.ask)
    use = {"cpu": sum(each.use["cpu"] for each in guests), "memory": float(len(guests) * 2**20)}
    return planning.Host(place=place, use=use, guests=list(guests))


def moves(found: planning.Plan) -> list[tuple[str, str, str]]:
    return [(each.key.name, each.source, each.target) for each in found.moves]


def test_the_busiest_host_gives_what_evens_out_best() -> None:
    hot = host("a", guest("x", cpu=2200), guest("y", cpu=1300), guest("z", cpu=100))
    found = planning.plan(policy(), [hot, host("b"), host("c", guest("w", cpu=1000))], limit=5)
    assert moves(found)[0] == ("x", "a", "b")
    assert "a is 90% in use, b 0%" in found.moves[0].why
    assert "a" in found.avoid


def test_nothing_moves_without_need() -> None:
    calm = [host("a", guest("x", cpu=600)), host("b")]
    assert not planning.plan(policy(), calm, limit=5).moves
    # One instance that is alone on a host only changes places.
    assert not planning.plan(policy(), [host("a", guest("x", cpu=3600)), host("b")], limit=5).moves
    assert not planning.plan(policy(mode="Off"), [host("a", guest("x", cpu=3900)), host("b")], limit=5).moves


def test_one_of_each_unit_at_a_time_and_what_is_held_stays() -> None:
    hot = host(
        "a", guest("x-0", cpu=1300, unit="x"), guest("x-1", cpu=1300, unit="x"), guest("y", cpu=1300, held="bare Pod")
    )
    found = planning.plan(policy(), [hot, host("b"), host("c")], limit=5)
    assert moves(found) == [("x-0", "a", "b")]
    assert found.held["default/y"] == "bare Pod"


def test_only_hosts_that_would_take_it_are_targets() -> None:
    hot = host("a", guest("x", cpu=2000), guest("y", cpu=1900))
    full = host("b", guest("big", cpu=10, asks=3950))
    cordoned = host("c", unschedulable=True)
    assert not planning.plan(policy(), [hot, full, cordoned], limit=5).moves
    assert moves(planning.plan(policy(), [hot, full, cordoned, host("d")], limit=1)) == [("x", "a", "d")]


def test_consolidation_empties_whole_hosts_or_leaves_them() -> None:
    hosts = [
        host("a", guest("x", cpu=100, asks=500), guest("y", cpu=100, asks=500)),
        host("b", guest("w", cpu=100, asks=2000)),
        host("c", guest("v", cpu=100, asks=400, held="its data is here")),
    ]
    found = planning.plan(policy(mode="Consolidate"), hosts, limit=10)
    assert sorted(moves(found)) == [("x", "a", "b"), ("y", "a", "b")]
    assert found.avoid == {"a"}
    assert found.held == {"default/v": "its data is here"}


def test_consolidation_keeps_the_last_host() -> None:
    assert planning.plan(policy(mode="Consolidate"), [host("a"), host("b")], limit=3).avoid == {"a"}


@pytest.mark.parametrize(
    ("moment", "open_"),
    [("2026-11-30T22:30", True), ("2026-12-01T01:59", True), ("2026-12-01T02:00", False), ("2026-11-30T12:00", False)],
)
def test_windows_may_pass_midnight(moment: str, open_: bool) -> None:
    # A Monday.
    known = policy(windows=[{"start": "22:00", "minutes": 240, "days": ["Mon"]}])
    assert planning.is_open(known, datetime.datetime.fromisoformat(f"{moment}+00:00")) is open_


@given(
    loads=st.lists(st.lists(st.integers(1, 1500), max_size=6), min_size=2, max_size=5),
    limit=st.integers(1, 6),
    mode=st.sampled_from(["Even", "Consolidate"]),
)
def test_plans_never_overcommit_and_are_the_same_each_time(loads: list[list[int]], limit: int, mode: str) -> None:
    hosts = [
        host(f"h{index}", *(guest(f"p{index}-{place}", cpu=cpu, asks=cpu) for place, cpu in enumerate(each)))
        for index, each in enumerate(loads)
        if sum(each) <= OFFERS["cpu"]
    ]
    first = planning.plan(policy(mode=mode), hosts, limit=limit)
    assert first == planning.plan(policy(mode=mode), list(reversed(hosts)), limit=limit)
    assert len(first.moves) <= limit
    assert len({each.unit for each in first.moves}) == len(first.moves)
    asked = {each.name: each.place.used.get("cpu", 0) for each in hosts}
    before = max((each.load for each in hosts), default=0.0)
    for move in first.moves:
        each = next(one for known in hosts for one in known.guests if one.key == move.key)
        asked[move.source] -= each.ask.requests["cpu"]
        asked[move.target] += each.ask.requests["cpu"]
    assert all(amount <= OFFERS["cpu"] for amount in asked.values())
    if mode == "Even" and first.moves:
        assert max(asked.values()) / OFFERS["cpu"] <= before
