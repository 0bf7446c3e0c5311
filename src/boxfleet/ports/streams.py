"""What carries the bytes of exec, attach, logs and port-forward, seen from where the instance runs."""

from collections.abc import AsyncIterator
from typing import Protocol

from boxfleet.api import tunnel


class Refusal(Exception):
    """An order that cannot be carried out, as the Status that the user will see."""

    def __init__(self, message: str, *, code: int = 500, reason: str = "InternalError") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason


class Disconnected(Exception):
    """The other side has gone: nobody is left to serve or to tell."""


class Channels(Protocol):
    """What an order's work reads and writes."""

    async def send(self, channel: tunnel.Channel, data: bytes) -> None:
        """Send data; returns when it is on its way (back-pressure). Raises Disconnected."""

    def receive(self) -> AsyncIterator[tuple[int, bytes]]:
        """(channel, data) until the other side closes."""
