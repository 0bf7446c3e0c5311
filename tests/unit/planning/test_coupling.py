"""Shared memory: how Pods ask for it, and which hosts and Clusters that leaves to consumers."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from boxfleet.api import meta, pod, unit
from boxfleet.planning import coupling, facts, instances, manifest, pod_asks, scheduling
from boxfleet.planning.engine import asks, places, preemption, refusals, table

GIVES = asks.Share(name="ipc/a", provides=True)
ALONE = asks.Share(name="ipc/a", provides=True, exclusive=True)
TAKES = asks.Share(name="ipc/a", provides=False)


def key(name: str) -> meta.Key:
    return meta.Key("ns", name)


def a_unit(name: str, *, box: str = "", **said: Any) -> unit.Unit:
    template = {"spec": {"containers": [{"name": "main", "image": "x:1", "env": [{"name": "A", "value": "1"}]}]}}
    body = {"metadata": {"name": name, "namespace": "ns"}, "spec": {"template": template, "box": box, **said}}
    return msgspec.convert(body, unit.Unit)


def made(subject: unit.Unit) -> dict[str, Any]:
    nothing = facts.Rendered({}, {})
    return manifest.pod(subject, ordinal=0, cluster="local", address="", rendered=nothing, revision="r")


def shares(subject: unit.Unit) -> tuple[asks.Share, ...]:
    return pod_asks.shares_of(msgspec.convert(made(subject)["spec"], pod.PodSpec))


def why(board: coupling.Board, share: asks.Share, *nodes: str, known: list[unit.Unit] | None = None) -> list[str]:
    among = board.among([share], namespace="ns", known=known or [])
    assert among is not None
    return [among.why_not(each) for each in nodes]


def test_a_pod_says_all_that_is_shared() -> None:
    subject = a_unit(
        "app",
        provides=[{"name": "ipc/a-b", "size": "1Mi", "exclusive": True}],
        consumes=[{"name": "ipc/c", "path": "/dev/shm"}],
    )
    assert shares(subject) == (
        asks.Share(name="ipc/a-b", provides=True, exclusive=True),
        asks.Share(name="ipc/c", provides=False),
    )
    main = made(subject)["spec"]["containers"][0]
    assert {each["name"]: each["value"] for each in main["env"]} == {
        "BOXFLEET_IPC_A_B": "/dev/shm/a-b", "BOXFLEET_IPC_C": "/dev/shm", "A": "1",
    }  # fmt: skip
    assert [each["mountPath"] for each in main["volumeMounts"]] == ["/dev/shm/a-b", "/dev/shm"]


def test_what_is_shared_makes_another_revision_and_nothing_shared_does_not() -> None:
    plain, sharing = a_unit("app"), a_unit("app", provides=[{"name": "ipc/a"}])
    assert manifest.revision(plain.spec) != manifest.revision(sharing.spec)
    assert "volumes" not in made(plain)["spec"]


def test_a_consumer_goes_where_a_provider_is_ready_and_is_told_why_not_elsewhere() -> None:
    board = coupling.Board()
    assert board.among([GIVES], namespace="ns") is None
    words = "node(s) had no ready provider of ipc/a"
    assert why(board, TAKES, "n1") == [f"{words} (no Unit of Namespace ns provides it)"]
    known = [a_unit("shop-db", box="shop", provides=[{"name": "ipc/a"}])]
    missing = f"{words} (Unit shop-db of Box shop provides it)"
    assert why(board, TAKES, "n1", known=known) == [missing]
    board.put(key("shop-db-0"), node="n1", shares=[GIVES])
    assert why(board, TAKES, "n1", "n2", known=known) == [
        f"{words} (shop-db-0, which provides it there, is not ready)", missing,
    ]  # fmt: skip
    assert board.tell(key("shop-db-0"), ready=True)
    assert not board.tell(key("shop-db-0"), ready=True)
    board.put(key("web-0"), node="n1", shares=[TAKES])
    assert why(board, TAKES, "n1", "n2", known=known) == ["", missing]
    # Of another Namespace it is another memory.
    other = board.among([TAKES], namespace="other")
    assert other is not None and not other.open
    board.drop(key("shop-db-0"), node="n1", shares=[GIVES])
    assert why(board, TAKES, "n1", known=known) == [missing]


def test_exclusive_lets_one_consumer_to_each_provider() -> None:
    taken = ["node(s) had ipc/a in exclusive use (by web-0)"]
    board = coupling.Board()
    board.put(key("db-0"), node="n", shares=[ALONE])
    board.tell(key("db-0"), ready=True)
    assert why(board, TAKES, "n") == [""]
    board.put(key("web-0"), node="n", shares=[TAKES])
    assert why(board, TAKES, "n") == taken
    board.put(key("db-1"), node="n", shares=[ALONE])
    assert why(board, TAKES, "n") == taken
    board.tell(key("db-1"), ready=True)
    assert why(board, TAKES, "n") == [""]
    # A consumer that wants to be alone keeps others away, and is kept away by them.
    board = coupling.Board()
    board.put(key("db-0"), node="n", shares=[GIVES])
    board.tell(key("db-0"), ready=True)
    board.put(key("web-0"), node="n", shares=[TAKES])
    assert why(board, asks.Share(name="ipc/a", provides=False, exclusive=True), "n") == taken
    board.put(key("web-0"), node="n", shares=[asks.Share(name="ipc/a", provides=False, exclusive=True)])
    assert why(board, TAKES, "n") == taken


def test_a_consumer_of_two_needs_both() -> None:
    board = coupling.Board()
    other = asks.Share(name="ipc/b", provides=True)
    for node, name, share in (("n1", "a-0", GIVES), ("n2", "b-0", other), ("n3", "a-1", GIVES), ("n3", "b-1", other)):
        board.put(key(name), node=node, shares=[share])
        board.tell(key(name), ready=True)
    found = board.among([TAKES, asks.Share(name="ipc/b", provides=False)], namespace="ns")
    assert found is not None and found.open == {"n3"}
    assert "ipc/b" in found.why_not("n1") and "ipc/a" in found.why_not("n2")


def test_who_has_lost_his_provider() -> None:
    def at(name: str, node: str, *, going: bool = False, **said: Any) -> pod.Pod:
        body = {
            "metadata": {"name": name, "namespace": "ns", "uid": name} | ({"deletionTimestamp": "x"} if going else {}),
            "spec": made(a_unit(name, **said))["spec"] | {"nodeName": node},
        }
        return msgspec.convert(body, pod.Pod)

    consumers = [at("web-0", "n1", consumes=[{"name": "ipc/a"}]), at("web-1", "n2", consumes=[{"name": "ipc/a"}])]
    views = [instances.view(each, ordinal=0) for each in consumers]
    there = at("db-0", "n1", provides=[{"name": "ipc/a"}])
    assert coupling.lost(views, [*consumers, there]) == {"web-1": "ipc/a"}
    going = at("db-0", "n1", going=True, provides=[{"name": "ipc/a"}])
    assert coupling.lost(views, [*consumers, going]) == {"web-0": "ipc/a", "web-1": "ipc/a"}
    # Of two that may not be beside each other the later one goes.
    third = at("web-2", "n1", consumes=[{"name": "ipc/a", "exclusive": True}])
    views.append(instances.view(third, ordinal=2))
    assert coupling.lost(views, [*consumers, third, there]) == {"web-1": "ipc/a", "web-2": "ipc/a"}


def host(name: str, cpu: int) -> places.Place:
    return places.Place(name=name, offers={"cpu": cpu, "pods": 10})


def consumer(cpu: int, among: asks.Among, **said: Any) -> asks.Ask:
    return asks.Ask(requests={"cpu": cpu, "pods": 1}, shares=(TAKES,), among=among, namespace="ns", **said)


def test_the_sentence_counts_hosts_by_what_keeps_them_away() -> None:
    fleet = table.Table([host("n1", 1), host("n2", 8), host("n3", 8), host("n4", 8)])
    among = asks.Among(frozenset({"n1"}), {"n2": "is not ready"}, "has none")
    assert fleet.choose(consumer(2, among)).why_not == (
        "0/4 nodes are available: 1 Insufficient cpu (asks 2m, free 1m), 2 has none, 1 is not ready."
    )
    assert fleet.choose(consumer(1, among)).place == "n1"
    # The same ask without the rule is of the same kind, and free.
    assert fleet.choose(asks.Ask(requests={"cpu": 2, "pods": 1}, namespace="ns")).place == "n2"
    verdicts = {each.place: each.obstacles for each in refusals.explain(fleet, consumer(1, among))}
    assert verdicts == {"n1": (), "n2": ("is not ready",), "n3": ("has none",), "n4": ("has none",)}


@given(st.sets(st.sampled_from(["n1", "n2", "n3", "gone"])), st.integers(0, 9))
def test_many_places_and_one_by_one_agree(open_: set[str], cpu: int) -> None:
    hosts = [host("n1", 4), host("n2", 6), host("n3", 8)]
    ask = consumer(cpu, asks.Among(frozenset(open_), {}, "none"))
    fleet = table.Table(hosts)
    assert fleet.choose(ask).place == scheduling.choose(ask, hosts).place
    for each in hosts:
        assert fleet.fits(ask, each.name) == (not scheduling.obstacles(ask, each))


def test_nobody_makes_his_own_provider_go() -> None:
    fleet = table.Table([host("n1", 4), host("n2", 4)])
    gives = asks.Ask(requests={"cpu": 4, "pods": 1}, shares=(GIVES,), namespace="ns")
    other = asks.Ask(requests={"cpu": 4, "pods": 1}, namespace="ns")
    fleet.take("n1", gives)
    fleet.take("n2", other)
    there = {"n1": [preemption.Victim(key="gives", ask=gives)], "n2": [preemption.Victim(key="other", ask=other)]}
    among = asks.Among(frozenset({"n1"}), {}, "none")
    urgent = consumer(1, among, priority=5)
    assert preemption.make_room(urgent, fleet, lambda name: there[name], allowed={}) is None
