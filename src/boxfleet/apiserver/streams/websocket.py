"""A WebSocket as ASGI hands it over (ASGI specification, WebSocket protocol 2.4)."""

from boxfleet.apiserver import route


class Gone(Exception):
    """The other side has closed or vanished."""


class WebSocket:
    """One connection. Sending waits while the other side reads slowly; receiving slowly holds the other side back."""

    def __init__(self, scope: route.Scope, receive: route.Receive, send: route.Send, *, audit_id: str = "") -> None:
        self._receive = receive
        self._send = send
        self._headers = [(b"audit-id", audit_id.encode())] if audit_id else []
        self.offered: list[str] = list(scope.get("subprotocols") or ())
        self._accepted = False
        self._gone = False
        # Nothing more can be sent; what the other side said before it closed is still to be read.
        self._mute = False

    async def accept(self, *, subprotocol: str | None = None) -> None:
        """Complete the handshake. Raises Gone."""
        # Whoever authorized the call may have read the connect event already; a second one never comes.
        self._accepted = True
        await self._give({"type": "websocket.accept", "subprotocol": subprotocol, "headers": self._headers})

    async def receive(self) -> bytes:
        """The next message. Raises Gone."""
        while not self._gone:
            message = await self._receive()
            if message["type"] == "websocket.receive":
                data = message.get("bytes")
                return data if data is not None else str(message.get("text") or "").encode()
            if message["type"] == "websocket.disconnect":
                self._gone = True
        raise Gone

    async def send(self, data: bytes) -> None:
        """Send a binary message. Raises Gone."""
        await self._give({"type": "websocket.send", "bytes": data})

    async def send_text(self, data: bytes) -> None:
        """Send a text message, given as UTF-8. Raises Gone."""
        await self._give({"type": "websocket.send", "text": data.decode()})

    async def close(self, *, code: int = 1000, reason: str = "") -> None:
        """End the connection; harmless when it has ended."""
        if self._accepted and not self._gone:
            self._gone = True
            if self._mute:
                return
            try:
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
            except (OSError, RuntimeError):
                # It ended by itself a moment ago.
                return

    async def _give(self, message: route.Message) -> None:
        if self._gone or self._mute:
            raise Gone
        try:
            await self._send(message)
        except (OSError, RuntimeError) as error:
            self._mute = True
            raise Gone from error
