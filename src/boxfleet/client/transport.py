"""How requests reach the API: over a socket, or straight into an app of the same process."""

from collections.abc import AsyncGenerator
from typing import Protocol

import msgspec

JSON = "application/json"


class Response(msgspec.Struct, frozen=True):
    """A whole answer."""

    status: int
    body: bytes


class Transport(Protocol):
    """Carries requests to one API server. Raises `errors.Unavailable` when it cannot be reached."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str],
        body: bytes = b"",
        content_type: str = "",
        accept: str = JSON,
    ) -> Response:
        """Send a request and read the whole answer, in the form that `accept` asks for."""

    def lines(self, path: str, *, query: dict[str, str], accept: str = JSON) -> AsyncGenerator[bytes, None]:
        """GET an answer that goes on, line by line; raises ApiError when the status is not 200."""

    async def close(self) -> None:
        """Let go of connections."""
