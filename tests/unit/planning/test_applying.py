"""Applying a manifest to what is there."""

from typing import Any

from boxfleet.planning import applying


def live(applied: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An object as the server keeps it after a manifest was applied, with what others added."""
    found: dict[str, Any] = applying.remembered(applied)
    return found | more


BASE = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1", "y": "2"}}


def test_the_same_again_changes_nothing() -> None:
    assert applying.patch(applying.remembered(BASE), live(BASE, status={"seen": 1})) == {}


def test_a_field_that_is_no_longer_said_goes_and_others_fields_stay() -> None:
    there = live(BASE)
    there["data"] = there["data"] | {"by-others": "3"}
    new = BASE | {"data": {"x": "9"}}
    change = applying.patch(applying.remembered(new), there)
    assert change["data"] == {"x": "9", "y": None}
    assert set(change) == {"data", "metadata"}


def test_lists_are_replaced_as_a_whole() -> None:
    before = {"kind": "Box", "spec": {"units": {"a": {"files": [{"path": "/x"}]}}}, "metadata": {"name": "b"}}
    after = {"kind": "Box", "spec": {"units": {"a": {"files": []}}}, "metadata": {"name": "b"}}
    change = applying.patch(applying.remembered(after), live(before))
    assert change["spec"] == {"units": {"a": {"files": []}}}


def test_an_object_that_was_not_applied_before_is_taken_over() -> None:
    change = applying.patch(applying.remembered(BASE), {"metadata": {"name": "a"}, "data": {"z": "0"}})
    assert change["data"] == {"x": "1", "y": "2"}
    assert applying.LAST_APPLIED in change["metadata"]["annotations"]
