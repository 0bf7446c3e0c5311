"""Server-side apply as pure rules over Pods, ConfigMaps and Boxes."""

import copy
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from boxfleet.api import box, catalog, config, pod
from boxfleet.apiserver import schema
from boxfleet.apiserver.apply import (
    applying,
    claims,
    comparing,
    fieldsets,
    managers,
    merging,
    shapes,
    tracking,
    versioned,
)

SCHEMAS = schema.Schemas(catalog.TYPES)
SHAPES = shapes.Shapes(SCHEMAS.record)
PODS = SHAPES.root(SCHEMAS.root(pod.Pod.KIND))
MAPS = SHAPES.root(SCHEMAS.root(config.ConfigMap.KIND))
BOXES = SHAPES.root(SCHEMAS.root(box.Box.KIND))
NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
Json = dict[str, Any]


def applier(name: str) -> managers.Manager:
    return managers.Manager(name=name, operation=managers.APPLY, api_version="v1")


def updater(name: str, version: str = "v1", subresource: str = "") -> managers.Manager:
    return managers.Manager(name=name, operation=managers.UPDATE, api_version=version, subresource=subresource)


def applied(
    live: Json, wish: Json, entries: list[Json], name: str = "me", *, shape: shapes.Record = MAPS, force: bool = False
) -> tuple[Json, list[Json]]:
    before = copy.deepcopy((live, wish, entries))
    outcome = applying.apply(versioned.Single(shape), live, wish, entries, applier(name), now=NOW, force=force)
    assert (live, wish, entries) == before
    return outcome.obj, outcome.entries


def owned(entries: list[Json], name: str) -> list[str]:
    found = [entry for entry in entries if entry["manager"] == name]
    assert len(found) <= 1
    return sorted(fieldsets.shown(path) for entry in found for path in fieldsets.paths(entry["fieldsV1"]))


def conflicts(live: Json, wish: Json, entries: list[Json], shape: shapes.Record = MAPS) -> list[tuple[str, str]]:
    with pytest.raises(applying.Conflicts) as caught:
        applied(live, wish, entries, shape=shape)
    return caught.value.causes()


def test_an_applier_owns_what_it_says_and_nothing_of_identity() -> None:
    wish = {"kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b", "labels": {"x": "1"}}, "data": {"k": "v"}}
    obj, entries = applied({}, wish, [])
    assert obj == wish
    assert owned(entries, "me") == [".data.k", ".metadata.labels.x"]
    assert entries[0]["fieldsV1"] == {"f:metadata": {"f:labels": {"f:x": {}}}, "f:data": {"f:k": {}}}


def test_what_is_no_longer_said_and_nobody_else_owns_goes() -> None:
    obj, entries = applied({}, {"data": {"a": "1", "b": "2", "c": "3"}}, [])
    _, entries = applied(obj, {"data": {"b": "2"}}, entries, "other")
    entries = tracking.updated(
        versioned.Single(MAPS), obj, obj | {"data": obj["data"] | {"d": "4"}}, entries, updater("hand"), now=NOW
    )
    obj = obj | {"data": obj["data"] | {"d": "4"}}
    obj, entries = applied(obj, {"data": {"c": "3"}}, entries)
    assert obj == {"data": {"b": "2", "c": "3", "d": "4"}}
    assert owned(entries, "me") == [".data.c"]
    assert owned(entries, "other") == [".data.b"]
    obj, entries = applied(obj, {}, entries, "other")
    assert obj == {"data": {"c": "3", "d": "4"}}
    assert owned(entries, "other") == []


def test_two_appliers_share_what_they_agree_on() -> None:
    obj, entries = applied({}, {"data": {"a": "1"}}, [])
    obj, entries = applied(obj, {"data": {"a": "1"}}, entries, "other")
    assert owned(entries, "me") == owned(entries, "other") == [".data.a"]
    assert conflicts(obj, {"data": {"a": "2"}}, entries) == [('"other"', ".data.a")]
    obj, entries = applied(obj, {"data": {"a": "2"}}, entries, force=True)
    assert obj["data"] == {"a": "2"}
    assert owned(entries, "other") == []


def test_conflicts_name_managers_and_fields() -> None:
    obj = {"data": {"a": "1", "b": "1"}}
    entries = tracking.created(MAPS, obj, updater("kubectl-client-side-apply"), now=NOW)
    entries = tracking.updated(
        versioned.Single(MAPS),
        obj,
        {"data": {"a": "1", "b": "2"}},
        entries,
        updater("c", subresource="status"),
        now=NOW,
    )
    assert conflicts({"data": {"a": "1", "b": "2"}}, {"data": {"a": "9", "b": "9"}}, entries) == [
        ('"c" with subresource "status" using v1', ".data.b"),
        ('"kubectl-client-side-apply" using v1', ".data.a"),
    ]


def test_the_first_apply_finds_what_was_there_owned() -> None:
    assert conflicts({"data": {"a": "1"}}, {"data": {"a": "2"}}, []) == [('"before-first-apply" using v1', ".data.a")]
    _, entries = applied({"data": {"a": "1"}}, {"data": {"b": "2"}}, [])
    assert owned(entries, "before-first-apply") == [".data", ".data.a"]


def a_pod(**more: Any) -> Json:
    return {"spec": {"containers": [{"name": "c", "image": "x:1"}, {"name": "d", "image": "y:1"}], **more}}


def test_items_of_lists_are_known_by_their_keys() -> None:
    obj, entries = applied({}, a_pod(), [], shape=PODS)
    extra = {
        "spec": {"containers": [{"name": "c", "env": [{"name": "A", "value": "1"}], "ports": [{"containerPort": 80}]}]}
    }
    obj, entries = applied(obj, extra, entries, "other", shape=PODS)
    assert [one["name"] for one in obj["spec"]["containers"]] == ["c", "d"]
    assert obj["spec"]["containers"][0]["image"] == "x:1"
    # The protocol that is left out is TCP, so this is the same port.
    obj["spec"]["containers"][0]["ports"][0]["protocol"] = "TCP"
    again, entries = applied(obj, extra, entries, "other", shape=PODS)
    assert again == obj
    assert '.spec.containers[name="c"].ports[containerPort=80,protocol="TCP"]' in owned(entries, "other")
    only_d = {"spec": {"containers": [{"name": "d", "image": "y:1"}]}}
    obj, entries = applied(obj, only_d, entries, shape=PODS)
    assert obj["spec"]["containers"][0] == {
        "name": "c", "env": [{"name": "A", "value": "1"}], "ports": [{"containerPort": 80, "protocol": "TCP"}],
    }  # fmt: skip
    obj, entries = applied(obj, {"spec": {}}, entries, "other", shape=PODS)
    assert obj["spec"]["containers"] == [{"name": "d", "image": "y:1"}]


def test_an_item_goes_with_what_an_updater_changed_in_it() -> None:
    obj, entries = applied({}, a_pod(), [], shape=PODS)
    new = copy.deepcopy(obj)
    new["spec"]["containers"][0]["image"] = "x:2"
    entries = tracking.updated(versioned.Single(PODS), obj, new, entries, updater("hand"), now=NOW)
    assert owned(entries, "hand") == ['.spec.containers[name="c"].image']
    obj, _ = applied(new, {"spec": {"containers": [{"name": "d", "image": "y:1"}]}}, entries, shape=PODS)
    assert [one["name"] for one in obj["spec"]["containers"]] == ["d"]


def test_atomic_lists_and_maps_are_one_field() -> None:
    obj, entries = applied({}, a_pod(nodeSelector={"a": "1"}, tolerations=[{"key": "a"}]), [], shape=PODS)
    assert {".spec.nodeSelector", ".spec.tolerations"} <= set(owned(entries, "me"))
    wish = {"spec": {"nodeSelector": {"b": "2"}, "tolerations": [{"key": "b"}]}}
    with pytest.raises(applying.Conflicts) as caught:
        applied(obj, wish, entries, "other", shape=PODS)
    assert [field for _, field in caught.value.causes()] == [".spec.nodeSelector", ".spec.tolerations"]
    obj, _ = applied(obj, wish, entries, "other", shape=PODS, force=True)
    assert obj["spec"]["nodeSelector"] == {"b": "2"}
    assert obj["spec"]["tolerations"] == [{"key": "b"}]


def test_sets_hold_each_value_once() -> None:
    obj, entries = applied({}, {"metadata": {"finalizers": ["a/a", "b/b"]}}, [])
    obj, entries = applied(obj, {"metadata": {"finalizers": ["c/c", "b/b"]}}, entries, "other")
    assert obj["metadata"]["finalizers"] == ["a/a", "c/c", "b/b"]
    obj, entries = applied(obj, {"metadata": {}}, entries)
    assert obj["metadata"]["finalizers"] == ["c/c", "b/b"]
    assert owned(entries, "other") == ['.metadata.finalizers[="b/b"]', '.metadata.finalizers[="c/c"]']


def test_units_of_a_box_are_owned_one_by_one() -> None:
    template = {"spec": {"containers": [{"name": "c", "image": "x"}]}}
    obj, entries = applied({}, {"spec": {"units": {"db": {"template": template}}}}, [], shape=BOXES)
    obj, entries = applied(
        obj,
        {"spec": {"units": {"web": {"template": template, "files": [{"path": "/a", "content": "b"}]}}}},
        entries,
        "other",
        shape=BOXES,
    )
    assert sorted(obj["spec"]["units"]) == ["db", "web"]
    assert '.spec.units.web.files[path="/a"].content' in owned(entries, "other")
    obj, _ = applied(obj, {"spec": {}}, entries, shape=BOXES)
    assert sorted(obj["spec"]["units"]) == ["web"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"containers": [{"name": "a"}, {"name": "a"}]}, 'duplicate entries for key [name="a"]'),
        ({"containers": [{"image": "a"}]}, 'omits key field "name"'),
        ({"containers": [{"name": "a", "ports": [{"protocol": "TCP"}]}]}, 'omits key field "containerPort"'),
    ],
)
def test_items_that_cannot_be_told_apart(spec: Json, message: str) -> None:
    with pytest.raises(claims.DuplicateItem, match="containers") as caught:
        applied({}, {"spec": spec}, [], shape=PODS)
    assert message in str(caught.value)


def test_what_is_doubled_on_the_server_harms_no_apply() -> None:
    live = {
        "spec": {"containers": [{"name": "c", "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}, {}]}]}
    }
    wish = {"spec": {"containers": [{"name": "c", "env": [{"name": "A", "value": "3"}]}]}}
    obj, _ = applied(live, wish, [], shape=PODS, force=True)
    assert obj["spec"]["containers"][0]["env"] == [{"name": "A", "value": "3"}, {}]


def test_who_changes_a_field_owns_it_alone() -> None:
    old = {"metadata": {"name": "a", "uid": "u"}, "data": {"a": "1", "b": "1", "c": "1"}}
    entries = tracking.created(MAPS, old, updater("maker"), now=NOW)
    assert entries == [updater("maker").entry({"f:data": {".": {}, "f:a": {}, "f:b": {}, "f:c": {}}}, time=NOW)]
    new = {"metadata": {"name": "a", "uid": "u"}, "data": {"a": "2", "b": "1", "d": "1"}}
    entries = tracking.updated(versioned.Single(MAPS), old, new, entries, updater("hand"), now=LATER)
    assert owned(entries, "maker") == [".data", ".data.b"]
    assert owned(entries, "hand") == [".data.a", ".data.d"]
    assert [entry["time"] for entry in entries] == [NOW, LATER]
    assert (
        tracking.updated(versioned.Single(MAPS), new, copy.deepcopy(new), entries, updater("third"), now=LATER)
        is entries
    )
    assert tracking.updated(versioned.Single(MAPS), new, {"metadata": {}}, entries, updater("third"), now=LATER) == []


def test_the_same_program_in_another_version_or_part_is_another_manager() -> None:
    entries = tracking.created(MAPS, {"data": {"a": "1"}}, updater("m"), now=NOW)
    for number, who in enumerate((updater("m", "v2"), updater("m", subresource="status"))):
        entries = tracking.updated(
            versioned.Single(MAPS), {"data": {}}, {"data": {f"x{number}": "1"}}, entries, who, now=NOW
        )
    assert [(entry["apiVersion"], entry.get("subresource", "")) for entry in entries] == [
        ("v1", ""), ("v1", "status"), ("v2", ""),
    ]  # fmt: skip


def test_the_oldest_of_many_updaters_are_folded_into_one() -> None:
    entries: list[Json] = []
    data: dict[str, str] = {}
    for number in range(15):
        new = {**data, f"k{number:02}": "1"}
        who = updater(f"m{number:02}")
        entries = tracking.updated(
            versioned.Single(MAPS), {"data": data}, {"data": new}, entries, who, now=f"2026-01-01T00:00:{number:02}Z"
        )
        data = new
    assert len(entries) == managers.UPDATERS_LIMIT
    assert owned(entries, "ancient-changes") == [f".data.k{number:02}" for number in range(6)]
    assert owned(entries, "m14") == [".data.k14"]
    _, entries = applied({"data": data}, {"data": {"mine": "1"}}, entries)
    assert len(entries) == managers.UPDATERS_LIMIT + 1
    assert entries[0]["manager"] == "me"


def test_a_status_belongs_to_who_reports_it() -> None:
    old, new = (
        {"status": {"phase": "Pending"}},
        {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}},
    )
    entries = tracking.updated(versioned.Single(PODS), old, new, [], updater("agent", subresource="status"), now=NOW)
    assert entries[0]["subresource"] == "status"
    assert owned(entries, "agent") == [
        ".status.conditions",
        '.status.conditions[type="Ready"]',
        '.status.conditions[type="Ready"].status',
        '.status.conditions[type="Ready"].type',
        ".status.phase",
    ]


def test_client_entries_are_taken_when_they_make_sense() -> None:
    good = updater("m").entry({"f:data": {}}, time=NOW)
    assert managers.from_client([good]) == [good]
    assert managers.from_client([{}]) == []
    assert managers.from_client([]) == []
    assert managers.from_client(None) is None
    for bad in ({"fieldsV1": {"bogus": {}}}, {"operation": "Odd"}, {"manager": "x" * 200}, {"manager": "a\n"}):
        assert managers.from_client([{**good, **bad}]) is None


@pytest.mark.parametrize(
    ("text", "name"), [("kubectl/v1.32.0 (linux/amd64)", "kubectl"), ("", ""), ("a\tb/1", "ab"), ("x" * 300, "x" * 128)]
)
def test_programs_are_known_by_their_user_agent(text: str, name: str) -> None:
    assert managers.from_user_agent(text) == name


# They come to be as part of a whole.
_CONTAINERS = ("f:data", "f:labels", "f:finalizers", "f:containers", "f:ports", "f:spec", "f:metadata")

# Random ConfigMaps and Pods in small worlds, so that fields meet.

TEXTS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("12"), max_size=3)
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "data": TEXTS,
        "metadata": st.fixed_dictionaries(
            {}, optional={"labels": TEXTS, "finalizers": st.lists(st.sampled_from(["a/a", "b/b"]), unique=True)}
        ),
    },
)
CONTAINERS = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from("cde")},
        optional={
            "image": st.sampled_from(["x:1", "x:2"]),
            "args": st.lists(st.sampled_from("12"), max_size=2),
            "ports": st.lists(
                st.fixed_dictionaries({"containerPort": st.sampled_from([80, 81])}),
                unique_by=lambda port: port["containerPort"],
            ),
        },
    ),
    unique_by=lambda one: one["name"],
    max_size=3,
)
PODS_SAID = st.fixed_dictionaries({"spec": st.fixed_dictionaries({"containers": CONTAINERS})})
SAID = st.one_of(
    st.tuples(st.just(MAPS), CONFIGS, CONFIGS, CONFIGS), st.tuples(st.just(PODS), PODS_SAID, PODS_SAID, PODS_SAID)
)


@given(SAID)
def test_applying_again_changes_nothing(said: tuple[shapes.Record, Json, Json, Json]) -> None:
    shape, live, mine, others = said
    obj, entries = applied(live, mine, [], shape=shape, force=True)
    obj, entries = applied(obj, others, entries, "other", shape=shape, force=True)
    # Where nobody owns anything, what is there is taken for what was there before anybody applied.
    assume(entries)
    assert applied(obj, others, entries, "other", shape=shape) == (obj, entries)


@given(SAID)
def test_what_is_applied_is_there(said: tuple[shapes.Record, Json, Json, Json]) -> None:
    shape, live, mine, others = said
    obj, entries = applied(live, mine, [], shape=shape, force=True)
    obj, entries = applied(obj, others, entries, "other", shape=shape, force=True)
    changed, _ = comparing.compare(shape, obj, merging.merge(shape, obj, others))
    assert changed == {}
    # Every owned field is there.
    held = claims.whole(shape, obj)
    for entry in entries:
        bare = {path for path in fieldsets.paths(entry["fieldsV1"]) if path[-1] not in _CONTAINERS}
        assert bare <= set(fieldsets.paths(held))


@given(SAID)
def test_an_applier_that_says_nothing_leaves_what_was_there_before(
    said: tuple[shapes.Record, Json, Json, Json],
) -> None:
    shape, live, mine, _ = said
    obj, entries = applied(live, mine, [], shape=shape, force=True)
    obj, entries = applied(obj, {}, entries, shape=shape)
    assert [entry for entry in entries if entry["manager"] == "me"] == []
    # Only what nobody had said before, or what the applier had taken over, is gone.
    changed, _ = comparing.compare(shape, live, obj)
    taken = claims.applied(shape, mine) or {}
    assert fieldsets.difference(changed, fieldsets.union(taken, claims.whole(shape, mine))) == {}


@given(st.one_of(st.tuples(st.just(MAPS), CONFIGS, CONFIGS), st.tuples(st.just(PODS), PODS_SAID, PODS_SAID)))
def test_a_comparison_tells_what_is_new_and_what_is_gone(said: tuple[shapes.Record, Json, Json]) -> None:
    shape, old, new = said
    changed, removed = comparing.compare(shape, old, new)
    before, after = claims.whole(shape, old, fresh=False), claims.whole(shape, new, fresh=False)
    assert fieldsets.covers(after, changed)
    assert fieldsets.covers(before, removed)
    # What is on one side alone is new or gone; what is on both and differs is changed, whichever way one looks.
    assert fieldsets.covers(changed, fieldsets.difference(after, before))
    assert fieldsets.covers(removed, fieldsets.difference(before, after))
    back = comparing.compare(shape, new, old).changed
    assert fieldsets.intersection(changed, before) == fieldsets.intersection(back, after)
