from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxfleet.apiserver.apply import fieldsets

ELEMENTS = st.sampled_from(["f:a", "f:b", 'k:{"name":"c"}', 'v:"d"', "i:0"])
PATHS = st.sets(st.lists(ELEMENTS, min_size=1, max_size=4).map(tuple), max_size=8)
Paths = set[tuple[str, ...]]


def tree(paths: Paths) -> fieldsets.Tree:
    result: fieldsets.Tree = {}
    for path in sorted(paths):
        one: fieldsets.Tree = {}
        for element in reversed(path):
            one = {element: one}
        result = fieldsets.union(result, one)
    return result


def members(found: fieldsets.Tree) -> Paths:
    listed = list(fieldsets.paths(found))
    assert len(listed) == len(set(listed))
    return set(listed)


@given(PATHS)
def test_a_tree_holds_just_the_paths_it_was_made_of(paths: Paths) -> None:
    assert members(tree(paths)) == paths
    assert fieldsets.is_well_formed(tree(paths))


@given(PATHS, PATHS)
def test_the_algebra_is_that_of_sets(one: Paths, other: Paths) -> None:
    left, right = tree(one), tree(other)
    assert members(fieldsets.union(left, right)) == one | other
    assert members(fieldsets.difference(left, right)) == one - other
    assert members(fieldsets.intersection(left, right)) == one & other
    assert fieldsets.covers(left, right) == (other <= one)
    # Nothing was changed on the way, and equal sets are equal trees.
    assert left == tree(one)
    assert right == tree(other)
    assert fieldsets.union(left, right) == fieldsets.union(right, left) == tree(one | other)
    assert fieldsets.difference(left, right) == tree(one - other)
    assert fieldsets.intersection(left, right) == tree(one & other)


@given(PATHS, PATHS, PATHS)
def test_union_does_not_mind_order(one: Paths, two: Paths, three: Paths) -> None:
    a, b, c = tree(one), tree(two), tree(three)
    assert fieldsets.union(fieldsets.union(a, b), c) == fieldsets.union(a, fieldsets.union(b, c))
    assert fieldsets.union(a, a) == a
    assert fieldsets.difference(fieldsets.union(a, b), b) == fieldsets.difference(a, b)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("f:metadata", "f:labels", "f:app.kubernetes.io/name"), ".metadata.labels.app.kubernetes.io/name"),
        (("f:spec", "f:containers", 'k:{"name":"web"}', "f:image"), '.spec.containers[name="web"].image'),
        (
            ("f:ports", 'k:{"containerPort":80,"protocol":"TCP"}'),
            '.ports[containerPort=80,protocol="TCP"]',
        ),
        (("f:metadata", "f:finalizers", 'v:"a/b"'), '.metadata.finalizers[="a/b"]'),
        (("f:list", "i:3"), ".list[3]"),
    ],
)
def test_paths_are_shown_as_kubernetes_does(path: tuple[str, ...], text: str) -> None:
    assert fieldsets.shown(path) == text


def test_elements_do_not_depend_on_the_order_of_keys() -> None:
    assert fieldsets.key_element(("b", "a"), 1, "x") == fieldsets.key_element(("a", "b"), "x", 1) == 'k:{"a":"x","b":1}'
    assert [fieldsets.key_element(("a",), value) for value in (1, True)] == ['k:{"a":1}', 'k:{"a":true}']


@pytest.mark.parametrize(
    "data",
    [
        [], None, "f:a", {"a": {}}, {"f:a": []}, {"f:a": None}, {".": {"f:a": {}}}, {"k:{": {}}, {"k:[]": {}},
        {"k:{}": {}}, {"i:x": {}}, {"v:": {}}, {"x:1": {}},
    ],
)  # fmt: skip
def test_other_data_is_no_tree(data: Any) -> None:
    assert not fieldsets.is_well_formed(data)


def test_depth_is_bounded() -> None:
    deep: fieldsets.Tree = {}
    for _ in range(200):
        deep = {"f:a": deep}
    assert not fieldsets.is_well_formed(deep)
