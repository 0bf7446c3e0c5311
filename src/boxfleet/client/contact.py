"""What a client hears of its servers: whether they answer, and whether they know it."""

import asyncio


class Contact:
    """Kept by a transport; whoever needs a client certificate looks here."""

    def __init__(self) -> None:
        # Why the servers do not know the client (any more); empty while they do.
        self.refused = ""
        # Whether no server answered just before they ceased to, or none ever did: another store may be there now.
        self.after_silence = False
        self._silent = True
        self._changed = asyncio.Event()

    def answer(self) -> None:
        """A server knows the client."""
        self.refused = ""
        self._silent = False

    def silence(self) -> None:
        """No server answers, or none can serve."""
        self._silent = True

    def refuse(self, why: str) -> None:
        """A server does not know the client (401)."""
        if not self.refused:
            self.refused, self.after_silence = why, self._silent
            self._changed.set()

    async def until_refused(self) -> None:
        """Wait for the next refusal after an answer, or after the last time that was waited."""
        await self._changed.wait()
        self._changed.clear()
