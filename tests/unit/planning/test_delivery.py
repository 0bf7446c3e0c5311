"""Generated Secret values: made once, never anew."""

import itertools

import pytest

from boxfleet.planning import delivery


def secret(generate: str, **fields: object) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "annotations": {"boxfleet.dev/generate": generate}},
        **fields,
    }


def texts():
    counter = itertools.count(1)
    return lambda: f"text-{next(counter)}"


def test_missing_keys_get_values():
    made = delivery.with_generated(secret("password, token"), existing=(), random_text=texts())
    assert made["stringData"] == {"password": "text-1", "token": "text-2"}


def test_what_is_stored_or_given_stays():
    manifest = secret("password token other", stringData={"token": "mine"}, data={"other": "eA=="})
    assert delivery.with_generated(manifest, existing={"password"}, random_text=texts()) == manifest
    made = delivery.with_generated(manifest, existing=(), random_text=texts())
    assert made["stringData"] == {"token": "mine", "password": "text-1"}
    assert manifest["stringData"] == {"token": "mine"}


def test_other_manifests_are_left_alone():
    box = {"apiVersion": "boxfleet.dev/v1", "kind": "Box", "metadata": {"annotations": {"boxfleet.dev/generate": "a"}}}
    assert delivery.with_generated(box, existing=(), random_text=texts()) == box


def test_a_wrong_key_is_named():
    with pytest.raises(ValueError, match=r"names 'a/b', which is no key"):
        delivery.generated_keys(secret("a/b"))
