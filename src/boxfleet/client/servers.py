"""Which servers there are, and which one of them is spoken to."""

import asyncio
from collections.abc import Sequence


class Servers:
    """Base URLs of the servers of one Boxfleet: `fixed` ones, which are always tried, and announced ones.

    All of them serve the same; whoever finds that one does not answer says so, and the next one is the present one.
    """

    def __init__(self, fixed: Sequence[str], *, announced: Sequence[str] = ()) -> None:
        if not fixed:
            raise ValueError("cannot speak to the API: no server is named")
        self._fixed = _clean(fixed)
        self._announced = _clean(announced)
        self._changed = asyncio.Event()
        self.present = self._fixed[0]

    @property
    def urls(self) -> tuple[str, ...]:
        """All of them, each once."""
        return tuple(dict.fromkeys((*self._fixed, *self._announced)))

    def announce(self, urls: Sequence[str]) -> None:
        """Know these besides the fixed ones, and no others. The present one stays so as long as it answers."""
        clean = _clean(urls)
        if clean != self._announced:
            self._announced = clean
            self._changed.set()
            self._changed = asyncio.Event()

    def avoid(self, url: str) -> None:
        """It does not answer: if it is the present one, the next one is from now on."""
        if url == self.present:
            urls = self.urls
            self.present = urls[(urls.index(url) + 1) % len(urls)] if url in urls else urls[0]

    async def changed(self) -> None:
        """Wait until others are announced."""
        await self._changed.wait()


def _clean(urls: Sequence[str]) -> tuple[str, ...]:
    return tuple(url.rstrip("/") for url in urls)
