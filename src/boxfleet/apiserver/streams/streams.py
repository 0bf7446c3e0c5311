"""What a user's request reads and writes, wherever the instance runs."""

from typing import Protocol


class Ended(Exception):
    """The instance's side closed the stream; `status` is its last word, None when it broke off."""

    def __init__(self, status: bytes | None) -> None:
        super().__init__("the agent closed the stream")
        self.status = status


class Stream(Protocol):
    """The server's end of one stream."""

    async def receive(self) -> tuple[int, bytes]:
        """The next (channel, data) except the last, which raises Ended with the Status."""

    async def send(self, channel: int, data: bytes) -> None:
        """Send data; waits while the other side reads slowly. To one that has gone it does nothing: `receive` tells."""

    async def forward(self, message: bytes) -> None:
        """Send a message that has its channel in front."""
