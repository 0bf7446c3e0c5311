import copy
from typing import Any

import pytest

from boxfleet.api import box, catalog, config, node, pod, service_account
from boxfleet.apiserver import schema

SCHEMAS = schema.Schemas(catalog.TYPES)


def a_pod() -> dict[str, Any]:
    return {
        "metadata": {"name": "a", "labels": {"x": "1", "y": "2"}, "finalizers": ["a/b", "c/d"]},
        "spec": {
            "containers": [
                {"name": "web", "image": "nginx:1", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
                {"name": "log", "image": "log:1", "ports": [{"containerPort": 80}, {"containerPort": 81}]},
            ],
            "volumes": [{"name": "data", "emptyDir": {}}],
            "tolerations": [{"key": "a", "operator": "Exists"}],
        },
    }


def merged(patch: dict[str, Any], current: dict[str, Any] | None = None) -> dict[str, Any]:
    before = a_pod() if current is None else current
    kept = copy.deepcopy(before)
    result = SCHEMAS.strategic_merge(pod.Pod.KIND, before, patch)
    assert before == kept
    return result


def names(items: list[dict[str, Any]]) -> list[str]:
    return [item["name"] for item in items]


def test_maps_merge_and_null_deletes() -> None:
    result = merged({"metadata": {"labels": {"x": None, "z": "3"}}})
    assert result["metadata"]["labels"] == {"y": "2", "z": "3"}
    assert result["spec"] == a_pod()["spec"]


def test_lists_of_objects_merge_by_their_key() -> None:
    result = merged({"spec": {"containers": [{"name": "log", "image": "log:2"}, {"name": "new", "image": "x"}]}})
    assert names(result["spec"]["containers"]) == ["web", "log", "new"]
    assert result["spec"]["containers"][1] == {
        "name": "log", "image": "log:2", "ports": [{"containerPort": 80}, {"containerPort": 81}],
    }  # fmt: skip


def test_deeper_lists_merge_too() -> None:
    patch = {
        "spec": {"containers": [{"name": "web", "env": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}]}]}
    }
    [web, _] = merged(patch)["spec"]["containers"]
    assert web["env"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "3"}, {"name": "C", "value": "4"}]
    assert web["image"] == "nginx:1"


def test_atomic_lists_are_replaced() -> None:
    result = merged({"spec": {"tolerations": [{"key": "b", "operator": "Exists"}]}})
    assert result["spec"]["tolerations"] == [{"key": "b", "operator": "Exists"}]


def test_plain_lists_merge_as_sets() -> None:
    assert merged({"metadata": {"finalizers": ["e/f", "a/b"]}})["metadata"]["finalizers"] == ["a/b", "c/d", "e/f"]


def test_items_are_deleted_by_directive() -> None:
    result = merged({"spec": {"containers": [{"$patch": "delete", "name": "web"}]}})
    assert names(result["spec"]["containers"]) == ["log"]
    # What is not there may be deleted as well.
    result = merged({"spec": {"containers": [{"$patch": "delete", "name": "nope"}]}})
    assert names(result["spec"]["containers"]) == ["web", "log"]


def test_lists_and_maps_are_replaced_by_directive() -> None:
    result = merged({"spec": {"containers": [{"$patch": "replace"}, {"name": "only", "image": "x"}]}})
    assert result["spec"]["containers"] == [{"name": "only", "image": "x"}]
    result = merged({"metadata": {"labels": {"$patch": "replace", "new": "1"}}})
    assert result["metadata"]["labels"] == {"new": "1"}


def test_maps_are_deleted_by_directive() -> None:
    assert "labels" not in merged({"metadata": {"labels": {"$patch": "delete"}}})["metadata"]


def test_items_are_replaced_by_directive() -> None:
    result = merged({"spec": {"containers": [{"name": "web", "image": "x", "$patch": "replace"}]}})
    assert result["spec"]["containers"][0] == {"name": "web", "image": "x"}


def test_primitives_are_deleted_by_directive() -> None:
    assert merged({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/b"]}})["metadata"]["finalizers"] == ["c/d"]


def test_retain_keys_drops_the_other_source_of_a_volume() -> None:
    volume = {"name": "data", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}
    assert merged({"spec": {"volumes": [volume]}})["spec"]["volumes"] == [{"name": "data", "hostPath": {"path": "/x"}}]


def test_order_is_that_of_the_patch() -> None:
    patch = {
        "spec": {
            "$setElementOrder/containers": [{"name": "new"}, {"name": "log"}, {"name": "web"}],
            "containers": [{"name": "new", "image": "x"}],
        }
    }
    assert names(merged(patch)["spec"]["containers"]) == ["new", "log", "web"]


def test_items_that_only_the_server_has_keep_their_place() -> None:
    current = {"spec": {"containers": [{"name": name} for name in ("a", "s1", "b", "s2")]}}
    patch = {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": []}}
    assert names(merged(patch, current)["spec"]["containers"]) == ["s1", "b", "a", "s2"]
    patch = {"spec": {"$setElementOrder/containers": [{"name": "a"}, {"name": "b"}]}}
    assert names(merged(patch, current)["spec"]["containers"]) == ["a", "s1", "b", "s2"]


def test_order_of_plain_lists() -> None:
    patch = {"metadata": {"$setElementOrder/finalizers": ["e/f", "c/d", "a/b"], "finalizers": ["e/f"]}}
    assert merged(patch)["metadata"]["finalizers"] == ["e/f", "c/d", "a/b"]


def test_what_is_new_keeps_no_directives() -> None:
    patch = {
        "spec": {"initContainers": [{"name": "i", "$setElementOrder/env": [{"name": "A"}], "env": [{"name": "A"}]}]}
    }
    assert merged(patch)["spec"]["initContainers"] == [{"name": "i", "env": [{"name": "A"}]}]


def test_nulls_in_what_is_new_are_dropped() -> None:
    assert merged({"spec": {"securityContext": {"runAsUser": None, "fsGroup": 1}}})["spec"]["securityContext"] == {
        "fsGroup": 1
    }


def test_service_accounts_merge_secrets_and_replace_pull_secrets() -> None:
    current = {"secrets": [{"name": "a"}], "imagePullSecrets": [{"name": "a"}]}
    patch = {"secrets": [{"name": "b"}], "imagePullSecrets": [{"name": "b"}]}
    result = SCHEMAS.strategic_merge(service_account.ServiceAccount.KIND, current, patch)
    assert result == {"secrets": [{"name": "a"}, {"name": "b"}], "imagePullSecrets": [{"name": "b"}]}


def test_node_conditions_merge_by_type() -> None:
    current = {"status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Disk", "status": "False"}]}}
    patch = {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
    result = SCHEMAS.strategic_merge(node.Node.KIND, current, patch)
    assert [found["status"] for found in result["status"]["conditions"]] == ["False", "False"]


def test_config_map_data_merges() -> None:
    result = SCHEMAS.strategic_merge(
        config.ConfigMap.KIND, {"data": {"a": "1", "b": "2"}}, {"data": {"a": None, "c": "3"}}
    )
    assert result == {"data": {"b": "2", "c": "3"}}


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ({"spec": {"$patch": "bogus"}}, "'bogus' is no directive"),
        ({"spec": {"containers": [{"$patch": "bogus"}]}}, "'bogus' is no directive"),
        ({"spec": {"containers": [{"$patch": "delete"}]}}, "must name the item"),
        ({"spec": {"containers": [{"image": "x"}]}}, "has no 'name', the merge key"),
        ({"spec": {"containers": ["x"]}}, "must be an object"),
        ({"spec": {"$setElementOrder/containers": "x"}}, "must be a list"),
        (
            {"spec": {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "b"}]}},
            "does not list 'b'",
        ),
        (
            {"spec": {"volumes": [{"name": "data", "$retainKeys": ["name"], "hostPath": {}}]}},
            "does not name 'hostPath'",
        ),
        ({"metadata": {"$deleteFromPrimitiveList/finalizers": 1}}, "must be a list"),
    ],
)
def test_nonsense_is_the_clients_fault(patch: dict[str, Any], words: str) -> None:
    with pytest.raises(schema.PatchError, match=words.replace("$", r"\$")):
        merged(patch)


@pytest.mark.parametrize("junk", [{}, [], "x", 1, None, [[]], [None], [{"$patch": None}], {"$patch": {}}])
def test_no_patch_crashes(junk: Any) -> None:
    patches: list[dict[str, Any]] = [
        {"spec": junk},
        {"$patch": junk},
        {"metadata": {"finalizers": junk}},
        {"spec": {"containers": junk}},
        {"spec": {"containers": [{"name": junk}]}},
        {"spec": {"containers": [{"name": "web", "env": junk}]}},
        {"spec": {"$setElementOrder/containers": junk}},
        {"spec": {"volumes": [{"name": "data", "$retainKeys": junk}]}},
    ]
    for patch in patches:
        try:
            merged(patch)
        except schema.PatchError:
            continue


def test_own_kinds_are_refused() -> None:
    with pytest.raises(schema.PatchError, match="merge-patch"):
        SCHEMAS.strategic_merge(box.Box.KIND, {}, {})


@pytest.mark.parametrize(
    "spec",
    [
        {"containers": [{"$patch": "merge"}]},
        {"$setElementOrder/containers": ["web"]},
        {"$setElementOrder/containers": [{"image": "x"}]},
    ],
)
def test_directives_that_make_no_sense_in_lists(spec: dict[str, Any]) -> None:
    with pytest.raises(schema.PatchError, match="containers"):
        merged({"spec": spec})
