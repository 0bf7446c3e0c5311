"""No secret reaches a log."""

from typing import Any

from boxfleet.app import logs


def hidden(**event: Any) -> dict[str, Any]:
    return dict(logs.hide_secrets(None, "", event))


def test_values_of_telling_keys_are_blanked() -> None:
    assert hidden(token="abc", password=b"x", name="n") == {"token": "***", "password": "***", "name": "n"}


def test_bearer_tokens_are_blanked_wherever_they_stand() -> None:
    assert hidden(event="sent Authorization: Bearer abcdefghijklmnop to x")["event"].endswith("Bearer *** to x")


def test_keys_of_objects_are_kept() -> None:
    assert hidden(key="default/shop-db-0") == {"key": "default/shop-db-0"}
    assert hidden(key="-----BEGIN PRIVATE KEY-----") == {"key": "***"}
