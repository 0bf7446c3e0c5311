"""Names, labels, annotations, owners and finalizers: what is allowed in metadata."""

from typing import Any

import pytest
from tests.conformance.api import spaces, wire

INVALID = "FieldValueInvalid"
UID = "11111111-2222-3333-4444-555555555555"


@pytest.mark.parametrize("name", ["a", "a-b", "a.b", "1", "0.0", "x" * 253])
def test_names_that_are_taken(space: spaces.Space, name: str) -> None:
    assert space.create(name)["metadata"]["name"] == name
    assert space.read(name)["metadata"]["name"] == name


@pytest.mark.parametrize("name", ["A", "-a", "a-", "a_b", "a..b", ".a", "a b", "ä", "x" * 254, "a\n"])
def test_names_that_are_refused(space: spaces.Space, name: str) -> None:
    reply = space.api.post(space.path(), {"metadata": {"name": name}})
    details = reply.fails(422, "Invalid")
    assert set(reply.causes()) == {(INVALID, "metadata.name")}
    assert (details["name"], details["kind"]) == (name, "ConfigMap")
    assert details["causes"][0]["message"].startswith("Invalid value: ")


@pytest.mark.parametrize("name", ["a/b", "a%b", ".", ".."])
def test_names_that_would_break_a_path(space: spaces.Space, name: str) -> None:
    space.api.post(space.path(), {"metadata": {"name": name}}).fails(422, "Invalid")


@pytest.mark.parametrize("name", ["a.b", "A", "x" * 64, "a_b"])
def test_namespaces_are_labels(api: wire.Api, name: str) -> None:
    reply = api.post("/api/v1/namespaces", {"metadata": {"name": name}})
    reply.fails(422, "Invalid")
    # A server that sets the label of the name may find fault with that too.
    assert (INVALID, "metadata.name") in reply.causes()


@pytest.mark.parametrize(
    ("metadata", "causes"),
    [
        ({"labels": {"a b": "c"}}, [(INVALID, "metadata.labels")]),
        ({"labels": {"a/b/c": "c"}}, [(INVALID, "metadata.labels")]),
        ({"labels": {"": "c"}}, [(INVALID, "metadata.labels")]),
        ({"labels": {"a": "b c"}}, [(INVALID, "metadata.labels")]),
        ({"labels": {"a": "x" * 64}}, [(INVALID, "metadata.labels")]),
        ({"labels": {"x" * 64: "a"}}, [(INVALID, "metadata.labels")]),
        ({"annotations": {"a b": "c"}}, [(INVALID, "metadata.annotations")]),
        ({"annotations": {"a": "x" * 262144}}, [("FieldValueTooLong", "metadata.annotations")]),
        # A name without a domain that is none of the server's own.
        ({"finalizers": ["x.io/a", "plain"]}, [(INVALID, "metadata.finalizers[1]")]),
        ({"finalizers": ["a b"]}, [(INVALID, "metadata.finalizers"), (INVALID, "metadata.finalizers[0]")]),
        ({"finalizers": ["orphan", "foregroundDeletion"]}, [(INVALID, "metadata.finalizers")]),
        (
            {"ownerReferences": [{"apiVersion": "", "kind": "", "name": "", "uid": ""}]},
            [
                (INVALID, "metadata.ownerReferences.apiVersion"),
                (INVALID, "metadata.ownerReferences.kind"),
                (INVALID, "metadata.ownerReferences.name"),
                (INVALID, "metadata.ownerReferences.uid"),
            ],
        ),
        (
            {
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": UID, "controller": True} for name in "ab"
                ]
            },
            [(INVALID, "metadata.ownerReferences")],
        ),
    ],
    ids=str,
)
def test_metadata_that_is_refused(space: spaces.Space, metadata: dict[str, Any], causes: list[tuple[str, str]]) -> None:
    reply = space.api.post(space.path(), {"metadata": {"name": "a", **metadata}})
    reply.fails(422, "Invalid")
    # kube-apiserver says some of it twice.
    assert set(reply.causes()) == set(causes), reply.json


@pytest.mark.parametrize(
    "metadata",
    [
        {"labels": {"example.com/A_b.c-d": "A_b.c-d", "empty": ""}},
        {"annotations": {"Example.com/a": "anything\n\u00e4\u0000"}},
        {"annotations": {"a": "x" * (262144 - 1)}},
        {"finalizers": ["example.com/a", "example.com/b"]},
        {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": UID, "blockOwnerDeletion": True}]},
    ],
    ids=lambda metadata: next(iter(metadata)),
)
def test_metadata_that_is_kept(space: spaces.Space, metadata: dict[str, Any]) -> None:
    made = space.create("a", metadata=metadata)["metadata"]
    assert {key: made[key] for key in metadata} == metadata
    if "finalizers" in metadata:
        space.api.patch(space.path(name="a"), {"metadata": {"finalizers": None}}).ok()
