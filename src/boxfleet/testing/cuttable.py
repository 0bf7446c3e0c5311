"""A way to the API that can be cut, as when the server is down."""

from collections.abc import AsyncIterator
from typing import Any

from boxfleet.client import errors, transport


class Cuttable:
    """A transport between a client and its own one; `cut_path` cuts only requests whose path ends so."""

    def __init__(self, via: transport.Transport) -> None:
        self._via = via
        self.cut = False
        self.cut_path = ""

    async def request(self, method: str, path: str, **more: Any) -> transport.Response:
        """Send a request, or find nobody there."""
        self._check(path)
        return await self._via.request(method, path, **more)

    async def lines(self, path: str, **more: Any) -> AsyncIterator[bytes]:
        """Follow an answer until it ends or the way is cut."""
        self._check(path)
        async for line in self._via.lines(path, **more):
            self._check(path)
            yield line

    async def close(self) -> None:
        """Let go of connections."""
        await self._via.close()

    def _check(self, path: str) -> None:
        if self.cut or (self.cut_path and path.endswith(self.cut_path)):
            raise errors.Unavailable(code=503, reason="ServiceUnavailable", message="cut")
