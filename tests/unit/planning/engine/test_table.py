"""The table against rules that are written down plainly, through whatever comes and goes."""

import collections
import dataclasses
import math

from hypothesis import given, settings
from hypothesis import strategies as st

from boxfleet.api import node, pod_affinity
from boxfleet.planning.engine import asks, places, policies, refusals, rules, table

GI = 2**30
ZONES = ("east", "west", "north")


def place(name: str, **fields: object) -> places.Place:
    offers = {"cpu": 4000, "memory": 16 * GI, "pods": 8}
    return places.Place(**({"name": name, "offers": offers} | fields))  # type: ignore[arg-type]


def ask(cpu: int = 500, **fields: object) -> asks.Ask:
    return asks.Ask(**({"requests": {"cpu": cpu, "pods": 1}} | fields))  # type: ignore[arg-type]


def term(topology: str, app: str) -> asks.Term:
    return asks.Term(
        topology=topology, selector=asks.Selector(pairs=(("app", app),)), namespaces=frozenset({"default"})
    )


@dataclasses.dataclass
class World:
    """What is there, plainly, beside the table that is tested."""

    table: table.Table
    places: dict[str, places.Place]
    seats: list[tuple[str, asks.Ask, tuple[int, ...]]] = dataclasses.field(default_factory=list)

    def around(self, name: str) -> places.Place:
        """A place with what runs there."""
        here = self.places[name]
        found = dataclasses.replace(
            here, used=dict(here.used), ports=collections.Counter(here.ports), groups=collections.Counter(here.groups)
        )
        gpus = list(here.gpus)
        for where, seat, devices in self.seats:
            if where == name:
                found.take(seat)
                for number in devices:
                    gpus[number] -= seat.gpus.milli if seat.gpus else 0
        return dataclasses.replace(found, gpus=tuple(gpus))

    def obstacles(self, question: asks.Ask, name: str) -> list[str]:
        return rules.obstacles(question, self.around(name)) + [str(each) for each in self.troubles(question, name)]

    def troubles(self, question: asks.Ask, name: str) -> list[str]:
        """Kubernetes' rules about other Pods, in the simplest words."""
        found = []
        labels = self.places[name].labels
        hard = [each for each in question.spread if each.required]
        for each in hard:
            if each.term.topology not in labels:
                found.append("spread-label")
                continue
            counting = [
                other
                for other in self.places.values()
                if all(one.term.topology in other.labels for one in hard)
                and (not each.by_affinity or rules.selected(question, other))
                and (not each.by_taints or rules.untolerated(question.tolerations, other.taints) is None)
            ]
            counts = {other.labels[each.term.topology]: 0 for other in counting}
            for where, seat, _ in self.seats:
                if any(where == other.name for other in counting) and each.term.matches(seat.namespace, seat.labels):
                    counts[self.places[where].labels[each.term.topology]] += 1
            least = min(counts.values(), default=0) if len(counts) >= each.domains else 0
            own = each.term.matches(question.namespace, question.labels)
            if counts.get(labels[each.term.topology], 0) + own - least > each.skew:
                found.append("spread")
        if question.near and not self.beside(question, labels):
            found.append("near")
        found += ["apart" for each in question.apart if self.count([each], each.topology, labels)]
        for where, seat, _ in self.seats:
            for each in seat.apart:
                value = self.places[where].labels.get(each.topology)
                if value is not None and labels.get(each.topology) == value:
                    found += ["repelled"] * each.matches(question.namespace, question.labels)
        return found

    def beside(self, question: asks.Ask, labels: dict[str, str]) -> bool:
        if any(each.topology not in labels for each in question.near):
            return False
        anywhere = any(
            each.topology in self.places[where].labels
            and all(one.matches(seat.namespace, seat.labels) for one in question.near)
            for where, seat, _ in self.seats
            for each in question.near
        )
        if not anywhere and all(each.matches(question.namespace, question.labels) for each in question.near):
            return True
        return all(self.count(list(question.near), each.topology, labels) for each in question.near)

    def count(self, terms: list[asks.Term], topology: str, labels: dict[str, str]) -> int:
        return sum(
            all(each.matches(seat.namespace, seat.labels) for each in terms)
            for where, seat, _ in self.seats
            if topology in labels and self.places[where].labels.get(topology) == labels[topology]
        )


def labels(draw: st.DrawFn) -> dict[str, str]:
    zone, disk = draw(st.sampled_from((*ZONES, ""))), draw(st.sampled_from(("ssd", "hdd", "")))
    return {key: value for key, value in (("zone", zone), ("disk", disk)) if value}


@st.composite
def some_place(draw: st.DrawFn) -> places.Place:
    name = draw(st.sampled_from("abcdefg"))
    taints = draw(st.lists(st.sampled_from([("gpu", "NoSchedule"), ("old", "PreferNoSchedule")]), max_size=2))
    return place(
        name,
        labels=labels(draw) | {"host": name},
        taints=tuple(node.Taint(key=key, effect=effect) for key, effect in taints),
        unschedulable=draw(st.integers(0, 9)) == 0,
        ready=draw(st.integers(0, 9)) > 0,
        cluster=draw(st.sampled_from(("one", "one", "two"))),
        offers={"cpu": draw(st.sampled_from((0, 2000, 4000))), "memory": 4 * GI, "pods": draw(st.integers(1, 6))}
        | draw(st.sampled_from(({}, {"limits.cpu": 3000}))),
        used=draw(st.sampled_from(({}, {"cpu": 500}))),
        images=frozenset(draw(st.lists(st.sampled_from("xy"), max_size=2))),
        gpu_model=draw(st.sampled_from(("", "V100", "T4"))),
        gpus=tuple(draw(st.lists(st.sampled_from((1000, 1000, 400)), max_size=3))),
    )


@st.composite
def some_ask(draw: st.DrawFn) -> asks.Ask:
    app = draw(st.sampled_from(("web", "db")))
    terms = st.builds(term, st.sampled_from(("zone", "host")), st.sampled_from(("web", "db")))
    spreads = st.builds(
        asks.Spread,
        term=terms,
        skew=st.integers(1, 2),
        required=st.booleans(),
        domains=st.sampled_from((1, 1, 3)),
        by_affinity=st.booleans(),
        by_taints=st.booleans(),
    )
    expression = pod_affinity.NodeSelectorRequirement(key="disk", operator="NotIn", values=["hdd"])
    disk = pod_affinity.NodeSelectorTerm(matchExpressions=[expression])

    def rarely(strategy: st.SearchStrategy[object], otherwise: object) -> object:
        return draw(strategy) if draw(st.integers(0, 3)) == 0 else otherwise

    return ask(
        draw(st.sampled_from((0, 300, 1500))),
        limits=draw(st.sampled_from(({}, {"cpu": 1000}))),
        namespace=draw(st.sampled_from(("default", "default", "other"))),
        labels={"app": app},
        group=draw(st.sampled_from(("", "default/web"))),
        cluster=draw(st.sampled_from(("", "", "one"))),
        pinned=rarely(st.sampled_from("ab"), ""),
        images=("x",),
        ports=rarely(st.just((("0.0.0.0", "TCP", 80),)), ()),
        selector=rarely(st.sampled_from(({"disk": "ssd"}, {"zone": "east"})), {}),
        affinity=rarely(st.just(pod_affinity.NodeSelector(nodeSelectorTerms=[disk])), None),
        preferred=rarely(st.just((pod_affinity.PreferredSchedulingTerm(weight=5, preference=disk),)), ()),
        tolerations=rarely(st.just((pod_affinity.Toleration(operator="Exists"),)), ()),
        gpus=rarely(
            st.builds(
                asks.Gpus, count=st.integers(1, 2), milli=st.sampled_from((300, 1000)), models=st.just(frozenset())
            )
            | st.just(asks.Gpus(count=1, milli=300, models=frozenset({"T4"}))),
            None,
        ),
        spread=rarely(st.lists(spreads, min_size=1, max_size=2).map(tuple), ()),
        near=rarely(st.lists(terms, min_size=1, max_size=2).map(tuple), ()),
        apart=rarely(st.lists(terms, min_size=1, max_size=2).map(tuple), ()),
        wishes=rarely(st.builds(asks.Wish, weight=st.sampled_from((7, -3)), term=terms).map(lambda one: (one,)), ()),
    )


STEPS = st.lists(
    st.one_of(
        some_ask().map(lambda one: ("ask", one)),
        some_ask().map(lambda one: ("ask", one)),
        some_place().map(lambda one: ("set", one)),
        st.sampled_from("abcdefg").map(lambda one: ("remove", one)),
        st.integers(0, 30).map(lambda one: ("give", one)),
    ),
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(some_place(), max_size=7, unique_by=lambda one: one.name), STEPS, st.sampled_from("sp"))
def test_whatever_comes_every_choice_and_every_refusal_is_true(
    first: list[places.Place], steps: list[tuple[str, object]], how: str
) -> None:
    policy = policies.SPREAD if how == "s" else policies.PACK
    world = World(table.Table(first, policy=policy), {each.name: each for each in first})
    asked: list[asks.Ask] = []
    for what, subject in steps:
        step(world, asked, what, subject)
        same_as_anew(world, asked, policy)


def step(world: World, asked: list[asks.Ask], what: str, subject: object) -> None:
    if isinstance(subject, places.Place):
        devices = max((max(seat[2], default=-1) for seat in world.seats if seat[0] == subject.name), default=-1)
        if len(subject.gpus) > devices:
            world.places[subject.name] = subject
            world.table.set(subject)
    elif what == "remove":
        world.places.pop(str(subject), None)
        world.table.remove(str(subject))
        world.seats = [seat for seat in world.seats if seat[0] != subject]
    elif isinstance(subject, int):
        if subject < len(world.seats):
            name, seat, devices_of = world.seats.pop(subject)
            world.table.give(name, seat, devices=devices_of)
    elif isinstance(subject, asks.Ask):
        asked.append(subject)
        chosen(world, subject)


def chosen(world: World, question: asks.Ask) -> None:
    choice = world.table.choose(question)
    assert choice == world.table.choose(question)
    ruled_out = {name: world.obstacles(question, name) for name in world.places}
    for name, obstacles in ruled_out.items():
        assert world.table.fits(question, name) == (not obstacles)
    verdicts = refusals.explain(world.table, question)
    assert {each.place: bool(each.obstacles) for each in verdicts} == {name: bool(o) for name, o in ruled_out.items()}
    if not choice.place:
        assert all(ruled_out.values())
        assert choice.why_not.startswith(f"0/{len(world.places)} nodes" if world.places else "no nodes")
        assert not world.places or choice.why_not.count(" node") + choice.why_not.count("Insuff") > 0
        return
    assert not ruled_out[choice.place]
    fitting = [each for each in verdicts if not each.obstacles]
    mine = next(each for each in fitting if each.place == choice.place)
    assert mine.score >= fitting[0].score - 1e-9
    plain = rules.parts(question, world.around(choice.place), world.table.policy)
    assert all(math.isclose(mine.parts[key], value) for key, value in plain.items())
    here = world.around(choice.place)
    devices = world.table.take(choice.place, question)
    world.seats.append((choice.place, question, devices))
    now = world.around(choice.place)
    # Nothing is given twice.
    for name, amount in now.offers.items():
        assert now.used.get(name, 0) <= max(amount, here.used.get(name, 0))
    assert all(each >= 0 for each in now.gpus)
    assert len(devices) == (question.gpus.count if question.gpus else 0)


def same_as_anew(world: World, asked: list[asks.Ask], policy: policies.Policy) -> None:
    """What was kept up step by step is what a table says that was made this moment."""
    anew = table.Table(sorted(world.places.values(), key=lambda each: each.name), policy=policy)
    for name, seat, devices in world.seats:
        anew.take(name, seat, devices=devices)
    for name in world.places:
        one, other = world.table[name], anew[name]
        assert (one.gpus, +one.ports, +one.groups) == (other.gpus, +other.ports, +other.groups)
        assert {k: v for k, v in one.used.items() if v} == {k: v for k, v in other.used.items() if v}
    for question in asked[-2:]:
        assert world.table.choose(question) == anew.choose(question)
        old, new = (each.scores(each.kind(question)) for each in (world.table, anew))
        for name in world.places:
            assert old[world.table.row_of[name]] == new[anew.row_of[name]]


def test_many_that_come_and_go_leave_no_rows() -> None:
    known = table.Table([place(f"n{number:04}") for number in range(20)])
    for number in range(500):
        known.set(place(f"x{number:04}"))
        known.take(f"x{number:04}", ask())
        assert known.choose(ask(4000)).place == "n0000"
        known.remove(f"x{number:04}")
    assert len(known) == 20 and len(known.facts) < 200
    assert sorted(known) == [f"n{number:04}" for number in range(20)]


def test_equal_places_are_taken_in_order_of_their_names_whenever_they_came() -> None:
    known = table.Table([place(name) for name in ("m", "z", "a", "c")])
    order = []
    for _ in range(4):
        order.append(known.choose(ask(group="g")).place)
        known.take(order[-1], ask(group="g"))
    assert order == ["a", "c", "m", "z"]


def test_packing_fills_one_place_before_the_next() -> None:
    known = table.Table([place(name) for name in "abc"], policy=policies.PACK)
    order = []
    for _ in range(10):
        order.append(known.choose(ask(1000)).place)
        known.take(order[-1], ask(1000))
    assert order == ["a"] * 4 + ["b"] * 4 + ["c"] * 2


def test_a_refusal_says_the_most_that_is_free() -> None:
    known = table.Table(
        [place("a", used={"cpu": 3500}), place("b", used={"cpu": 3000}), place("c", unschedulable=True)]
    )
    assert known.choose(ask(2000)).why_not == (
        "0/3 nodes are available: 2 Insufficient cpu (asks 2, free at most 1), 1 node(s) were unschedulable (cordoned)."
    )


def test_an_overcommitted_pool_takes_more_and_limits_can_be_bounded() -> None:
    policy = places.policy("cpu=200, limits.cpu=300")
    offers = places.overcommitted({"cpu": 1000, "pods": 50}, policy)
    assert offers == {"cpu": 2000, "pods": 50, "limits.cpu": 3000}
    known = table.Table([place("a", offers=offers)])
    question = ask(100, limits={"cpu": 1000})
    taken = 0
    while not (choice := known.choose(question)).why_not:
        known.take(choice.place, question)
        taken += 1
    assert taken == 3
    assert choice.why_not == "0/1 nodes are available: 1 Insufficient limits.cpu (asks 1, free 0)."


def test_thousands_of_kinds_are_not_all_kept() -> None:
    known = table.Table([place(name) for name in "ab"])
    for number in range(1500):
        known.choose(ask(number))
    assert len(known.kinds) < 600
