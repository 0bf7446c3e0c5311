import copy
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from boxfleet.kit import patch

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab/~", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("target", "change", "expected"),
    [
        # The examples of RFC 7386, appendix A.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_examples(target: Any, change: Any, expected: Any) -> None:
    assert patch.merge(target, change) == expected


@hypothesis.given(JSON, JSON)
def test_merge_changes_nothing_it_is_given_and_settles(target: Any, change: Any) -> None:
    before = copy.deepcopy((target, change))
    once = patch.merge(target, change)
    assert patch.merge(once, change) == once
    assert (target, change) == before


@pytest.mark.parametrize(
    ("document", "operations", "expected"),
    [
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"foo": "bar", "baz": "qux"}),
        ({"foo": ["a", "b"]}, [{"op": "add", "path": "/foo/1", "value": "x"}], {"foo": ["a", "x", "b"]}),
        ({"foo": ["a"]}, [{"op": "add", "path": "/foo/-", "value": ["b"]}], {"foo": ["a", ["b"]]}),
        ({"a": 1, "b": 2}, [{"op": "remove", "path": "/a"}], {"b": 2}),
        ({"a": [1, 2, 3]}, [{"op": "remove", "path": "/a/1"}], {"a": [1, 3]}),
        ({"a": 1}, [{"op": "replace", "path": "/a", "value": None}], {"a": None}),
        ({"a": 1}, [{"op": "replace", "path": "/b", "value": 2}], {"a": 1, "b": 2}),
        ({"a": {"b": 1}, "c": {}}, [{"op": "move", "from": "/a/b", "path": "/c/d"}], {"a": {}, "c": {"d": 1}}),
        ({"a": [1, 2, 3]}, [{"op": "move", "from": "/a/0", "path": "/a/2"}], {"a": [2, 3, 1]}),
        ({"a": {"b": 1}}, [{"op": "copy", "from": "/a", "path": "/c"}], {"a": {"b": 1}, "c": {"b": 1}}),
        ({"a/b": 1, "m~n": 2}, [{"op": "test", "path": "/a~1b", "value": 1}], {"a/b": 1, "m~n": 2}),
        ({"a/b": 1, "m~n": 2}, [{"op": "remove", "path": "/m~0n"}], {"a/b": 1}),
        ({"": 1}, [{"op": "replace", "path": "/", "value": 2}], {"": 2}),
        ({"a": 1}, [{"op": "replace", "path": "", "value": [1]}], [1]),
        ({"a": 1}, [], {"a": 1}),
    ],
)
def test_json_patch_examples(document: Any, operations: Any, expected: Any) -> None:
    before = copy.deepcopy(document)
    assert patch.apply(document, operations) == expected
    assert document == before


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ({"op": "add", "path": "/-1", "value": 9}, [1, 2, 3, 9]),
        ({"op": "add", "path": "/-4", "value": 9}, [9, 1, 2, 3]),
        ({"op": "remove", "path": "/-1"}, [1, 2]),
        ({"op": "replace", "path": "/-3", "value": 9}, [9, 2, 3]),
        ({"op": "test", "path": "/-2", "value": 2}, [1, 2, 3]),
    ],
)
def test_indexes_may_count_from_the_end(operation: dict[str, Any], expected: list[int]) -> None:
    assert patch.apply([1, 2, 3], [operation]) == expected


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/none"},
        {"op": "remove", "path": "/list/9"},
        {"op": "add", "path": "/none/deeper", "value": 1},
        {"op": "add", "path": "/list/4", "value": 1},
        {"op": "add", "path": "/list/01", "value": 1},
        {"op": "add", "path": "/list/-9", "value": 1},
        {"op": "replace", "path": "/list/-", "value": 1},
        {"op": "add", "path": "/text/x", "value": 1},
        {"op": "test", "path": "/text", "value": "other"},
        {"op": "test", "path": "/one", "value": True},
        {"op": "move", "from": "/object", "path": "/object/inner"},
        {"op": "copy", "from": "/none", "path": "/x"},
    ],
)
def test_what_does_not_fit(operation: dict[str, Any]) -> None:
    document = {"list": [1, 2, 3], "text": "t", "one": 1, "object": {}}
    with pytest.raises(patch.PathError, match="operation 0"):
        patch.apply(document, [operation])


@pytest.mark.parametrize(
    "operations",
    [
        {},
        "x",
        [1],
        [{}],
        [{"op": "jump", "path": "/a"}],
        [{"op": "add", "path": "/a"}],
        [{"op": "add", "path": "a", "value": 1}],
        [{"op": "add", "path": 1, "value": 1}],
        [{"op": "move", "path": "/a"}],
        [{"op": "test", "path": ""}],
        [{"op": "test", "path": "/a", "value": 1}] * 10_001,
        # Each copy doubles the document.
        [{"op": "copy", "from": "", "path": f"/{number}"} for number in range(64)],
    ],
)
def test_what_makes_no_sense(operations: Any) -> None:
    with pytest.raises(patch.PatchError):
        patch.apply({"a": 1}, operations)


@hypothesis.given(JSON, JSON)
def test_add_then_remove_is_nothing(document: Any, value: Any) -> None:
    holder = {"document": document}
    added = patch.apply(holder, [{"op": "add", "path": "/new", "value": value}])
    assert (
        patch.apply(added, [{"op": "test", "path": "/new", "value": value}, {"op": "remove", "path": "/new"}]) == holder
    )
