"""Which Cluster runs which instances: rules, preferences, staying, leaving."""

from collections.abc import Collection
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from boxfleet.api import node, placement_policy
from boxfleet.planning import placement

OFFERS = {"cpu": 10000, "memory": 2**34, "pods": 100}


def policy(**fields: Any) -> placement_policy.PlacementPolicy:
    return msgspec.convert(fields, placement_policy.PlacementPolicy)


def wish(replicas: int, *, cpu: int = 1000, keeps_data: bool = False, **fields: Any) -> placement.Wish:
    return placement.Wish(
        replicas=replicas,
        requests={"cpu": cpu, "pods": 1},
        policy=policy(**fields),
        keeps_data=keeps_data,
        apart=frozenset(fields.get("apart", ())),
    )


def at(name: str, *, cpu: int = 0, **fields: Any) -> placement.Candidate:
    return placement.Candidate(name=name, offers=dict(OFFERS), used={"cpu": cpu}, **fields)


def divide(
    subject: placement.Wish, clusters: Collection[placement.Candidate], **placed: list[int]
) -> dict[str, list[int]]:
    return dict(placement.divide(subject, placed=placed, clusters=clusters).shares)


def why(subject: placement.Wish, clusters: list[placement.Candidate]) -> dict[str, list[str]]:
    return {each.cluster: list(each.obstacles) for each in placement.judge(subject, clusters, counts={})}


def test_instances_stay_where_they_are() -> None:
    full, free = at("east", cpu=9000), at("west")
    assert divide(wish(3), [full, free], east=[0, 1]) == {"east": [0, 1], "west": [2]}
    assert divide(wish(1), [full, free], east=[0], west=[1]) == {"east": [0], "west": []}
    assert divide(wish(2), [full, free], east=[0, 1], west=[1]) == {"east": [0, 1], "west": []}


def test_without_room_the_freest_takes_it_and_without_clusters_nobody() -> None:
    assert divide(wish(1, cpu=7000), [at("east", cpu=5000), at("west", cpu=4000)]) == {"west": [0]}
    nobody = placement.divide(wish(1), placed={}, clusters=[])
    assert nobody.shares == {}
    assert "boxfleet cluster join" in nobody.why_not


def test_neighbouring_ordinals_go_to_the_same_cluster() -> None:
    spread = wish(5, spread=[{}])
    assert divide(spread, [at("east"), at("west")]) == {"east": [0, 1, 2], "west": [3, 4]}


def test_rules_rule_out_and_say_so() -> None:
    east = at("east", labels={"tier": "gold"})
    west = at("west", taints=[node.Taint(key="leased", value="x", effect="NoSchedule")])
    far = at("far", closed="it is reserved for tenant a")
    known = [east, far, west]
    assert why(wish(1), known) == {
        "east": [], "far": ["it is reserved for tenant a"], "west": ["untolerated taint {leased: x}"],
    }  # fmt: skip
    assert why(wish(1, clusters=["west"]), [east])["east"] == ["placement.clusters does not name it"]
    gold = wish(1, clusterSelector={"matchLabels": {"tier": "gold"}})
    assert divide(gold, known) == {"east": [0]}
    tolerant = wish(1, clusters=["west"], tolerations=[{"key": "leased", "operator": "Exists"}])
    assert divide(tolerant, known) == {"west": [0]}
    nowhere = placement.divide(wish(1, clusters=["moon"]), placed={}, clusters=known)
    assert nowhere.waiting == [0]
    assert nowhere.why_not.startswith("0/3 clusters are available: east: placement.clusters does not name it")


def test_preferences() -> None:
    busy = at("busy", cpu=6000, cost=1.0, latency=0.2)
    idle = at("idle", cost=3.0, latency=0.01)
    known = [busy, idle]
    assert divide(wish(1), known) == {"idle": [0]}
    assert divide(wish(1, prefer="Packed"), known) == {"busy": [0]}
    assert divide(wish(1, prefer="Cheap"), known) == {"busy": [0]}
    assert divide(wish(1, prefer="Near"), known) == {"idle": [0]}


def test_units_of_a_box_stay_together_while_there_is_room() -> None:
    full = at("full", cpu=9500, peers=frozenset({"db"}))
    home = at("home", cpu=5000, peers=frozenset({"db"}))
    assert divide(wish(1), [home, at("idle")]) == {"home": [0]}
    assert divide(wish(1), [full, at("idle")]) == {"idle": [0]}


def test_near_and_apart() -> None:
    home, idle = at("home", peers=frozenset({"db"})), at("idle")
    assert divide(wish(1, near=["db"]), [home, idle]) == {"home": [0]}
    assert divide(wish(1, apart=["db"]), [home, idle]) == {"idle": [0]}
    late = placement.Wish(replicas=1, requests={}, policy=policy(near=["web"]), first=frozenset({"web"}))
    assert placement.divide(late, placed={}, clusters=[idle]).why_not.endswith(
        "idle: Unit web, which is to be near, is not placed yet"
    )
    # Whoever comes first is free to choose.
    assert divide(wish(1, near=["web"]), [idle]) == {"idle": [0]}


def test_spread_over_zones_waits_or_goes_anyway() -> None:
    zones = [at("a1", labels={"zone": "a"}), at("a2", labels={"zone": "a"}), at("b1", labels={"zone": "b"})]
    shares = divide(wish(4, spread=[{"topologyKey": "zone"}]), zones)
    assert len(shares["b1"]) == 2
    cordoned = [*zones[:2], at("b1", labels={"zone": "b"}, unschedulable=True)]
    stuck = placement.divide(wish(2, spread=[{"topologyKey": "zone"}]), placed={}, clusters=cordoned)
    assert (sum(map(len, stuck.shares.values())), stuck.waiting) == (1, [1])
    anyway = wish(2, spread=[{"topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}])
    assert sum(map(len, divide(anyway, cordoned).values())) == 2


def test_weights_give_parts() -> None:
    parts = [{"cluster": "east", "weight": 3}, {"cluster": "west", "weight": 1}]
    shares = divide(wish(8, cpu=10, weights=parts), [at("east"), at("north"), at("west")])
    assert {name: len(ordinals) for name, ordinals in shares.items()} == {"east": 6, "west": 2}


def test_a_lost_cluster_is_left_after_a_while_but_not_by_data() -> None:
    lost = at("east", fault="no answer", lost=20.0)
    assert divide(wish(2), [lost, at("west")], east=[0, 1]) == {"east": [], "west": [0, 1]}
    assert divide(wish(2, keeps_data=True), [lost, at("west")], east=[0, 1]) == {"east": [0, 1]}
    assert divide(wish(2, failover={"enabled": False}), [lost, at("west")], east=[0, 1]) == {"east": [0, 1]}
    fresh = placement.divide(
        wish(2), placed={"east": [0, 1]}, clusters=[at("east", fault="no answer", lost=5.0), at("west")]
    )
    assert (fresh.shares, fresh.retry) == ({"east": [0, 1]}, 10.0)


def test_who_must_leave_waits_for_somebody_who_takes_him() -> None:
    going = at("east", going=True)
    assert divide(wish(1), [going, at("west", fault="away")], east=[0]) == {"east": [0]}
    assert divide(wish(2, cpu=6000), [going, at("west")], east=[0, 1]) == {"east": [1], "west": [0]}


def test_an_instance_drifts_to_a_much_better_cluster_and_stays_there() -> None:
    cheap, dear = at("cheap", cost=1.0), at("dear", cost=10.0, cpu=1000)
    subject = wish(2, prefer="Cheap", drift=True)
    first = placement.drift(subject, placed={"dear": [0, 1]}, clusters=[cheap, dear])
    assert first is not None
    assert first.shares == {"cheap": [1], "dear": [0]}
    settled = at("cheap", cost=1.0, cpu=2000)
    assert placement.drift(subject, placed={"cheap": [0, 1]}, clusters=[settled, at("dear", cost=10.0)]) is None
    data = wish(2, prefer="Cheap", drift=True, keeps_data=True)
    assert placement.drift(data, placed={"dear": [0, 1]}, clusters=[cheap, dear]) is None


def test_a_cluster_that_came_back_gets_its_part_again() -> None:
    subject = wish(4, spread=[{}], drift=True)
    placed = {"east": [0, 1, 2, 3]}
    moves = 0
    while (found := placement.drift(subject, placed=placed, clusters=[at("east"), at("west")])) is not None:
        placed = dict(found.shares)
        moves += 1
        assert moves < 5
    assert {name: len(ordinals) for name, ordinals in placed.items()} == {"east": 2, "west": 2}
    assert moves == 2
    parts = wish(4, cpu=10, weights=[{"cluster": "east", "weight": 3}, {"cluster": "west", "weight": 1}], drift=True)
    found = placement.drift(parts, placed={"east": [0, 1, 2, 3]}, clusters=[at("east"), at("west")])
    assert found is not None
    assert {name: len(ordinals) for name, ordinals in found.shares.items()} == {"east": 3, "west": 1}
    assert placement.drift(parts, placed=found.shares, clusters=[at("east"), at("west")]) is None


@given(
    replicas=st.integers(0, 12),
    cpu=st.lists(st.integers(0, 10000), min_size=1, max_size=5),
    asked=st.integers(1, 6000),
    before=st.dictionaries(st.integers(0, 4), st.sets(st.integers(0, 12)), max_size=5),
    spread=st.booleans(),
)
def test_every_instance_has_one_place_and_the_same_question_the_same_answer(
    replicas: int, cpu: list[int], asked: int, before: dict[int, set[int]], spread: bool
) -> None:
    clusters = [at(f"c{index}", cpu=used) for index, used in enumerate(cpu)]
    placed = {f"c{index}": sorted(ordinals) for index, ordinals in before.items()}
    subject = wish(replicas, cpu=asked, spread=[{}] if spread else [])
    first = placement.divide(subject, placed=placed, clusters=clusters)
    again = placement.divide(subject, placed=placed, clusters=list(reversed(clusters)))
    assert first == again
    everyone = [ordinal for ordinals in first.shares.values() for ordinal in ordinals]
    assert sorted([*everyone, *first.waiting]) == list(range(replicas))
    # What was decided holds: nothing moves when it is asked anew with what came of it.
    settled = placement.divide(subject, placed=first.shares, clusters=clusters)
    assert {name: got for name, got in settled.shares.items() if got} == {
        name: got for name, got in first.shares.items() if got
    } or first.waiting


def consumer(replicas: int = 1, **said: Any) -> placement.Wish:
    return placement.Wish(
        replicas=replicas,
        requests={"cpu": 1000, "pods": 1},
        policy=policy(),
        shares=True,
        consumes=("ipc/a",),
        providers={"ipc/a": "Unit db provides it"},
        **said,
    )


def test_a_consumer_goes_where_its_provider_is_and_follows_it() -> None:
    has, lacks = at("east", cpu=9000, provided=frozenset({"ipc/a"})), at("west")
    assert divide(consumer(2), [has, lacks]) == {"east": [0, 1]}
    assert why(consumer(), [has, lacks]) == {
        "east": [],
        "west": ["nobody provides ipc/a there (it is provided on east)"],
    }
    assert divide(consumer(), [has, lacks], west=[0]) == {"west": [], "east": [0]}
    # Where nobody provides it yet, it waits; what has a place waits there.
    waits = placement.divide(consumer(), placed={}, clusters=[lacks])
    assert (waits.shares, waits.waiting) == ({}, [0])
    assert waits.why_not == ("0/1 clusters are available: west: nobody provides ipc/a there (Unit db provides it)")
    assert divide(consumer(), [lacks], west=[0]) == {"west": [0]}


def test_what_shares_memory_goes_to_hosts_only() -> None:
    engine = at("docker", shares=False)
    provider = placement.Wish(replicas=1, requests={"cpu": 1, "pods": 1}, policy=policy(), shares=True)
    assert why(provider, [engine]) == {"docker": ["its instances can share no memory: only clusters of hosts can"]}
    assert divide(provider, [engine, at("west", cpu=9000)]) == {"west": [0]}
