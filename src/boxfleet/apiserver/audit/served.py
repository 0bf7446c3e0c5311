"""`GET /audit`: this server's records as JSON lines, for whoever has the right to that path."""

import asyncio
import itertools
import pathlib
from collections.abc import Iterator
from typing import Final

from boxfleet.apiserver import faults, route
from boxfleet.apiserver.audit import search
from boxfleet.kit import clock as clocks

PATH: Final = "/audit"
# Lines that are looked for at a time, in a thread.
_LINES: Final = 200


class Served:
    """Answers from the files."""

    def __init__(self, folder: pathlib.Path, *, clock: clocks.Clock) -> None:
        self._folder = folder
        self._clock = clock

    def routes(self) -> list[route.Route]:
        """The one path."""
        return [route.Route(method="GET", path=PATH, access=route.Access(verb="get"), handle=self._answer)]

    async def _answer(self, call: route.Call) -> None:
        found = await asyncio.to_thread(lambda: iter(search.Search(self._folder, self._wish(call)).run()))
        headers = [(b"content-type", b"application/x-ndjson"), (b"cache-control", b"no-store")]
        headers.append((b"audit-id", call.audit_id.encode()))
        await call.send({"type": "http.response.start", "status": 200, "headers": headers})
        while lines := await asyncio.to_thread(_some, found):
            await call.send({"type": "http.response.body", "body": lines, "more_body": True})
        await call.send({"type": "http.response.body", "body": b""})

    def _wish(self, call: route.Call) -> search.Wish:
        """The same words as the command has; raises Fault 400."""
        now = self._clock.now()
        try:
            since, until = (
                search.moment(text, now=now) if (text := call.one(name)) else None for name in ("since", "until")
            )
            limit = int(call.one("limit", "0"))
        except (search.SearchError, ValueError) as error:
            raise faults.bad_request(f"invalid query: {error}") from None
        return search.Wish(
            user=call.one("user"),
            tenant=call.one("tenant"),
            namespace=call.one("namespace"),
            verb=call.one("verb"),
            resource=call.one("resource"),
            name=call.one("name"),
            since=since,
            until=until,
            denied=call.flag("denied"),
            limit=max(limit, 0),
        )


def _some(found: Iterator[search.Found]) -> bytes:
    return b"".join(one.line for one in itertools.islice(found, _LINES))
