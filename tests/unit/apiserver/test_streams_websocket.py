"""A WebSocket's end: what was said before it is heard."""

from collections.abc import MutableMapping
from typing import Any

import pytest

from boxfleet.apiserver.streams import websocket

pytestmark = pytest.mark.anyio


async def test_last_words_are_heard_after_a_message_that_came_too_late() -> None:
    said: list[MutableMapping[str, Any]] = [
        {"type": "websocket.receive", "bytes": b"the outcome"},
        {"type": "websocket.disconnect", "code": 1000},
    ]
    sent: list[str] = []

    async def receive() -> MutableMapping[str, Any]:
        return said.pop(0)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message["type"])
        if message["type"] == "websocket.send":
            raise RuntimeError("the connection is closed")

    socket = websocket.WebSocket({"type": "websocket"}, receive, send)
    await socket.accept()
    for _ in range(2):
        with pytest.raises(websocket.Gone):
            await socket.send(b"too late")
    assert await socket.receive() == b"the outcome"
    with pytest.raises(websocket.Gone):
        await socket.receive()
    await socket.close()
    assert sent == ["websocket.accept", "websocket.send"]
