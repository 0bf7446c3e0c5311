"""HTTP/1.1 as uvicorn reads it, with a bound on what is no body.

uvicorn's reader by httptools keeps any number of headers of any length, and that before it is known who calls.
"""

from uvicorn.protocols.http import httptools_impl

# Bytes of request line, headers, framing of chunks and trailers. At most 256 KiB arrive at once, which may hold the
# end of one request and the beginning of the next; a longest query with a token is far below the other half.
LIMIT = 512 * 1024


class Protocol(httptools_impl.HttpToolsProtocol):
    """One connection."""

    _beside_body = 0
    _arriving = 0

    def data_received(self, data: bytes) -> None:
        """Read; refuse and hang up when what is no body goes on and on."""
        self._arriving = len(data)
        self._beside_body += len(data)
        super().data_received(data)
        if self._beside_body > LIMIT and not self.transport.is_closing():
            # Let go of what was gathered at once: the connection may take a while to end.
            self.headers.clear()
            self.send_400_response("Request headers are too large.")

    def on_message_begin(self) -> None:
        """Another request: count anew."""
        self._beside_body = self._arriving
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        """A part of the body, whose size is the app's matter."""
        self._beside_body -= len(body)
        super().on_body(body)
