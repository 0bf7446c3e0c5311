"""Making room, and placing several at once: what is said is true, and the table is what it was."""

from hypothesis import given, settings
from hypothesis import strategies as st

from boxfleet.planning.engine import asks, gangs, places, preemption, table


def place(name: str, cpu: int = 4, **fields: object) -> places.Place:
    offers = {"cpu": cpu, "pods": 10}
    return places.Place(name=name, offers=offers, **fields)  # type: ignore[arg-type]


def ask(cpu: int, priority: int = 0, **fields: object) -> asks.Ask:
    return asks.Ask(requests={"cpu": cpu, "pods": 1}, priority=priority, **fields)  # type: ignore[arg-type]


class Fleet:
    """A table with named instances."""

    def __init__(self, *many: places.Place) -> None:
        self.table = table.Table(many)
        self.on: dict[str, list[preemption.Victim]] = {each.name: [] for each in many}

    def run(self, name: str, key: str, what: asks.Ask, *, started: str = "", budgets: tuple[str, ...] = ()) -> None:
        devices = self.table.take(name, what)
        victim = preemption.Victim(key=key, ask=what, devices=devices, started=started, budgets=budgets)
        self.on[name].append(victim)

    def room(self, what: asks.Ask, **allowed: int) -> tuple[str, list[str]] | None:
        found = preemption.make_room(what, self.table, lambda name: self.on[name], allowed=dict(allowed))
        return None if found is None else (found.place, [str(each.key) for each in found.victims])


def test_the_least_important_go_and_as_few_as_will_do() -> None:
    fleet = Fleet(place("a"), place("b"))
    fleet.run("a", "big", ask(4, 5))
    fleet.run("b", "one", ask(2, 1))
    fleet.run("b", "two", ask(1, 2))
    fleet.run("b", "three", ask(1, 3))
    assert fleet.room(ask(2, 10)) == ("b", ["one"])
    assert fleet.room(ask(3, 10)) == ("b", ["two", "one"])
    assert fleet.room(ask(4, 10)) == ("b", ["three", "two", "one"])
    assert fleet.room(ask(4, 3)) is None
    assert fleet.room(ask(5, 10)) is None
    assert fleet.room(ask(2, 10, preempts=False)) is None


def test_budgets_are_kept_where_possible() -> None:
    fleet = Fleet(place("a"), place("b"))
    fleet.run("a", "guarded", ask(4, 1), budgets=("web",))
    fleet.run("b", "plain", ask(4, 5))
    assert fleet.room(ask(4, 9), web=0) == ("b", ["plain"])
    assert fleet.room(ask(4, 9), web=1) == ("a", ["guarded"])
    fleet.run("b", "more", ask(0, 20))
    assert fleet.room(ask(4, 3), web=0) == ("a", ["guarded"])


def test_of_equal_harm_the_youngest_go() -> None:
    fleet = Fleet(place("a"), place("b"))
    fleet.run("a", "old", ask(4), started="2026-01-01T00:00:00Z")
    fleet.run("b", "new", ask(4), started="2026-02-01T00:00:00Z")
    assert fleet.room(ask(4, 1)) == ("b", ["new"])


def test_whom_nobody_wants_beside_them_makes_room_too() -> None:
    term = asks.Term(topology="host", selector=asks.Selector(pairs=(("app", "web"),)), namespaces=None)
    fleet = Fleet(place("a", labels={"host": "a"}))
    fleet.run("a", "web", ask(1, labels={"app": "web"}))
    fleet.run("a", "other", ask(1, labels={"app": "db"}))
    assert fleet.room(ask(1, 1, apart=(term,))) == ("a", ["web"])


SOME = st.tuples(st.sampled_from("abc"), st.integers(0, 4), st.integers(0, 3), st.sampled_from(("", "x", "y")))


@settings(deadline=None)
@given(st.lists(SOME, max_size=12), st.integers(0, 5), st.integers(0, 4), st.integers(0, 2))
def test_what_is_said_is_true_and_nobody_goes_in_vain(
    running: list[tuple[str, int, int, str]], cpu: int, priority: int, allowed: int
) -> None:
    fleet = Fleet(*(place(name) for name in "abc"))
    for number, (name, size, important, budget) in enumerate(running):
        if fleet.table.fits(ask(size), name):
            fleet.run(name, str(number), ask(size, important), budgets=(budget,) if budget else ())
    before = {name: fleet.table[name] for name in "abc"}
    wanted = ask(cpu, priority)
    rooms = preemption.make_room(wanted, fleet.table, lambda name: fleet.on[name], allowed={"x": allowed})
    assert {name: fleet.table[name] for name in "abc"} == before

    def fits(name: str, gone: list[preemption.Victim]) -> bool:
        used = sum(each.ask.requests["cpu"] for each in fleet.on[name] if each not in gone)
        return used + cpu <= 4 and len(fleet.on[name]) - len(gone) < 10

    lower = {name: [each for each in fleet.on[name] if each.ask.priority < priority] for name in "abc"}
    if rooms is None:
        assert not any(lower[name] and fits(name, lower[name]) for name in "abc")
        return
    victims = list(rooms.victims)
    assert all(each in lower[rooms.place] for each in victims) and fits(rooms.place, victims)
    assert not any(fits(rooms.place, [other for other in victims if other != each]) for each in victims)


def test_all_or_none() -> None:
    fleet = table.Table([place("a"), place("b")])
    before = [fleet["a"], fleet["b"]]
    assert gangs.place([ask(1), ask(4), ask(3)], fleet).places == ("b", "a", "b")
    found = gangs.place([ask(3), ask(3), ask(3)], fleet)
    assert found.places == ()
    assert found.why_not == "2 of 3 fit: 0/2 nodes are available: 2 Insufficient cpu (asks 3m, free 1m)."
    assert [fleet["a"], fleet["b"]] == before


def test_a_gang_may_want_one_zone() -> None:
    zones = {"a": "1", "b": "2", "c": "2"}
    fleet = table.Table([place(name, labels={"zone": zone}) for name, zone in zones.items()])
    assert sorted(gangs.place([ask(3), ask(3)], fleet, within="zone").places) == ["b", "c"]
    assert gangs.place([ask(3)] * 3, fleet, within="zone").why_not.startswith("no value of zone has room for all 3")
    assert gangs.place([ask(1)], fleet, within="rack").why_not == "no node has the label rack"
