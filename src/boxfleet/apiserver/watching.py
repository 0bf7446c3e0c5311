"""Watch: what is there, then every change, as lines of JSON for as long as the client listens."""

import asyncio
import secrets
from collections.abc import Awaitable, Iterator, Sequence
from typing import Any

import msgspec

from boxfleet.api import kind as kinds
from boxfleet.apiserver import (
    exchange,
    faults,
    headers,
    negotiate,
    options,
    reading,
    registry,
    route,
    selectors,
    stalls,
    tables,
)
from boxfleet.store import errors, rows

# Seconds between bookmarks, as often as Kubernetes sends them.
_BOOKMARK_EVERY = 60.0
# A watch without a time limit ends between half an hour and an hour, at different times for different clients.
_SHORTEST, _SPREAD = 1800, 1800
# Bytes per message to the HTTP server: enough to share its cost, not so much that it waits in memory.
_CHUNK = 256 * 1024
# Headers that are asked for when a watch has ended.
_KEPT = ("user-agent", "impersonate-user")
# Shared by all, and never changed.
_QUERY = {"watch": ["1"]}
_NO_HEADERS: dict[str, str] = {}
_PLAIN = negotiate.accepted("")
_INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class Watching:
    """The watch verb of all kinds."""

    def __init__(self, registry: registry.Registry) -> None:
        self._registry = registry
        self._stalls = stalls.Stalls()

    def watch(self, call: route.Call, kind: kinds.Kind) -> Awaitable[None]:
        """Answer with a stream of events.

        Thousands may wait at a time, so a stream is one coroutine and not a stack of them.
        """
        form = negotiate.accepted(call.headers.get("accept", ""))
        stream = _Stream(self._registry, call, kind, _PLAIN if form == _PLAIN else form)
        try:
            subscription = stream.subscribe()
        except errors.Compacted as error:
            return _expired(call, error)
        except errors.Closed as error:
            raise faults.unavailable(str(error)) from None
        if exchange.LEAVING in call.scope:
            return self._send(call, kind, stream, subscription)
        return self._send_and_listen(call, kind, stream, subscription)

    async def _send(
        self, call: route.Call, kind: kinds.Kind, stream: "_Stream", subscription: rows.Subscription
    ) -> None:
        # The block ends early for a client that reads nothing. An answer without its end is broken off then, which
        # frees what waits for it.
        with self._registry.watching(kind, subscription), self._stalls.sending() as sending:
            await _start(call)
            leaving = call.scope.get(exchange.LEAVING)
            if leaving is not None:
                leaving(subscription.close)
                _lighten(call)
                del leaving
            await _pass_on(call, sending, stream.beginning())
            while not subscription.closed and (wait := stream.wait()) > 0:
                if (woken := subscription.ready(timeout=wait)) is not None:
                    await woken
                    subscription.settled()
                    del woken
                # What comes gets no name here, which would keep it while nothing else comes.
                await self._tell(call, kind, stream, subscription, sending, subscription.take_waiting())
            await call.send({"type": "http.response.body", "body": b""})

    async def _tell(
        self,
        call: route.Call,
        kind: kinds.Kind,
        stream: "_Stream",
        subscription: rows.Subscription,
        sending: stalls.Sending,
        changes: list[rows.Change],
    ) -> None:
        if changes:
            changes = await self._registry.presented_changes(kind, changes)
            await _pass_on(call, sending, stream.changed(changes))
        elif not subscription.closed:
            await _pass_on(call, sending, stream.silent())

    async def _send_and_listen(
        self, call: route.Call, kind: kinds.Kind, stream: "_Stream", subscription: rows.Subscription
    ) -> None:
        """The same below another server, which knows only ASGI."""
        async with asyncio.TaskGroup() as group:
            listener = group.create_task(_close_when_gone(call, subscription))
            await self._send(call, kind, stream, subscription)
            listener.cancel()


class _Stream:
    """One client's watch."""

    __slots__ = (
        "_after",
        "_bookmarks",
        "_end",
        "_form",
        "_headers",
        "_include",
        "_initial",
        "_initial_end",
        "_kind",
        "_next_bookmark",
        "_prefix",
        "_registry",
        "_selection",
        "_wants_state",
    )

    def __init__(self, registry_: registry.Registry, call: route.Call, kind: kinds.Kind, form: negotiate.Form) -> None:
        self._registry = registry_
        self._kind = kind
        self._form = form
        self._include = reading.include_of(call)
        self._selection = selectors.parse(kind, labels=call.one("labelSelector"), fields=call.one("fieldSelector"))
        self._prefix = registry.prefix(kind, namespace=call.params.get("namespace", ""))
        self._bookmarks = call.flag("allowWatchBookmarks")
        now = asyncio.get_running_loop().time()
        self._end = now + (options.integer(call, "timeoutSeconds") or _SHORTEST + secrets.randbelow(_SPREAD))
        self._next_bookmark = now + _BOOKMARK_EVERY
        self._initial: Sequence[rows.Row] = ()
        self._headers = True
        text = call.one("resourceVersion")
        self._after = reading.parse_revision(text)
        self._initial_end = self._wants_initial_events(call)
        self._wants_state = self._initial_end or (self._after == 0 and call.one("sendInitialEvents") != "false")

    def subscribe(self) -> rows.Subscription:
        """Take the state and the place in the log at the same moment; raises Compacted."""
        store = self._registry.store
        after = self._after
        if self._initial_end and after > store.revision:
            raise faults.too_large_revision(after, store.revision)
        if self._wants_state:
            after = self._after = store.revision
            self._initial = self._registry.presented(self._kind, store.range(self._prefix))
        elif after == 0:
            after = store.revision
        # By which field to look is known only where objects are stored as they are served.
        topic = self._selection.topic if self._registry.served_as_stored(self._kind) else None
        return store.watch(self._prefix, after=after, topic=topic)

    def beginning(self) -> Iterator[bytes]:
        """What is there, if that is wanted; lines, several at a time."""
        yield from _joined(self._initial_lines())
        self._initial = ()
        if self._initial_end:
            yield self._bookmark(self._after, initial_end=True)

    def changed(self, changes: Sequence[rows.Change]) -> Iterator[bytes]:
        """What changed."""
        return _joined(self._lines(changes))

    def silent(self) -> Iterator[bytes]:
        """A bookmark, if it is time for one: nothing waits, so everything up to the present revision has been said."""
        now = asyncio.get_running_loop().time()
        if self._bookmarks and now >= min(self._next_bookmark, self._end):
            yield self._bookmark(self._registry.store.revision)
            self._next_bookmark = now + _BOOKMARK_EVERY

    def wait(self) -> float:
        """Seconds until there is something to do even if nothing changes; none when the time is over."""
        now = asyncio.get_running_loop().time()
        if now >= self._end:
            return 0.0
        return max((min(self._end, self._next_bookmark) if self._bookmarks else self._end) - now, 0.001)

    def _initial_lines(self) -> Iterator[bytes]:
        for row in self._initial:
            if self._selection.matches(row.value):
                yield self._line("ADDED", row.value)

    def _lines(self, changes: Sequence[rows.Change]) -> Iterator[bytes]:
        for change in changes:
            event = self._event(change)
            if not event:
                continue
            if event == "DELETED" and not change.deleted:
                yield self._line(event, _last_match(change))
            elif self._form.as_ == "Table" and self._headers:
                yield self._line(event, change.value)
            else:
                # One encoding for all who watch in this form.
                key = (event, self._form, self._include)
                line = change.memo.get(key)
                if line is None:
                    line = change.memo[key] = self._line(event, change.value)
                yield line

    def _event(self, change: rows.Change) -> str:
        """What a change is to somebody who sees only what is selected; empty when it is nothing."""
        then, now = change.before is not None, True
        if self._selection:
            facts = selectors.before(change)
            then = facts is not None and self._selection.takes(facts)
            now = change.deleted or self._selection.takes(selectors.after(change))
        if change.deleted or not now:
            return "DELETED" if then else ""
        return "MODIFIED" if then else "ADDED"

    def _line(self, event: str, value: bytes) -> bytes:
        if self._form.as_ == "Table":
            value = self._table(value)
        elif self._form.as_:
            value = reading.encode_form(tables.partial_metadata(registry.decode(value)), self._form)
        return b"".join((b'{"type":"', event.encode(), b'","object":', value, b"}\n"))

    def _table(self, value: bytes) -> bytes:
        obj = registry.decode(value)
        table = tables.table(
            self._kind,
            [obj],
            now=self._registry.clock.now(),
            include=self._include,
            resource_version=obj["metadata"]["resourceVersion"],
            headers=self._headers,
        )
        self._headers = False
        return reading.encode_form(table, self._form)

    def _bookmark(self, revision: int, *, initial_end: bool = False) -> bytes:
        metadata: dict[str, Any] = {"resourceVersion": str(revision), "creationTimestamp": None}
        if initial_end:
            metadata["annotations"] = {_INITIAL_EVENTS_END: "true"}
        obj: dict[str, Any] = {"kind": self._kind.kind, "apiVersion": self._kind.api_version, "metadata": metadata}
        if self._form.as_ == "Table":
            empty = tables.table(
                self._kind, [], now=self._registry.clock.now(), resource_version=str(revision), headers=self._headers
            )
            obj = empty | {"apiVersion": f"meta.k8s.io/{self._form.version}"}
            self._headers = False
        elif self._form.as_:
            obj |= {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{self._form.version}"}
        return msgspec.json.encode({"type": "BOOKMARK", "object": obj}) + b"\n"

    def _wants_initial_events(self, call: route.Call) -> bool:
        """Whether the state is wanted first, with a bookmark behind it; raises Fault 422 and 400."""
        wanted = call.flag("sendInitialEvents")
        match = call.one("resourceVersionMatch")
        if call.one("sendInitialEvents") and match != "NotOlderThan":
            problem = 'sendInitialEvents requires setting resourceVersionMatch to "NotOlderThan"'
            field = "resourceVersionMatch"
        elif match and not call.one("sendInitialEvents"):
            problem = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            field = "resourceVersionMatch"
        elif wanted and not self._bookmarks:
            problem = "sendInitialEvents requires allowWatchBookmarks"
            field = "allowWatchBookmarks"
        else:
            return wanted
        raise faults.invalid_options(
            "ListOptions", [kinds.FieldError(field, f"Forbidden: {problem}", kinds.Reason.FORBIDDEN)]
        )


def _last_match(change: rows.Change) -> bytes:
    """An object that left the selection: its last state that was in it, at the revision at which it left."""
    obj = registry.decode(change.before or b"{}")
    obj["metadata"]["resourceVersion"] = str(change.revision)
    return msgspec.json.encode(obj)


def _joined(lines: Iterator[bytes]) -> Iterator[bytes]:
    waiting: list[bytes] = []
    size = 0
    for line in lines:
        waiting.append(line)
        size += len(line)
        if size >= _CHUNK:
            yield b"".join(waiting)
            waiting.clear()
            size = 0
    if waiting:
        yield b"".join(waiting)


async def _pass_on(call: route.Call, sending: stalls.Sending, chunks: Iterator[bytes]) -> None:
    loop = asyncio.get_running_loop()
    first = True
    for chunk in chunks:
        if not first:
            # Making many takes a while, in which others are not kept waiting.
            await asyncio.sleep(0)
        first = False
        sending.since = loop.time()
        await call.send({"type": "http.response.body", "body": chunk, "more_body": True})
        sending.since = 0.0


async def _expired(call: route.Call, error: errors.Compacted) -> None:
    """As the real server: the answer begins well and says in its first event that it cannot go on."""
    await _start(call)
    line = msgspec.json.encode({"type": "ERROR", "object": faults.expired(str(error)).status()})
    await call.send({"type": "http.response.body", "body": line + b"\n"})


async def _start(call: route.Call) -> None:
    said = [(b"content-type", b"application/json"), (b"cache-control", b"no-cache, private")]
    said.append((b"audit-id", call.audit_id.encode()))
    said += [(b"warning", route.warning_header(text)) for text in call.warnings]
    await call.send({"type": "http.response.start", "status": 200, "headers": said})


def _lighten(call: route.Call) -> None:
    """Let go of headers and query but for what the audit log asks at the end: they are much of each watch."""
    call.headers = {name: call.headers[name] for name in _KEPT if name in call.headers} or _NO_HEADERS
    call.query = _QUERY
    # Whether there was a query is all that is asked of it again.
    call.scope.update({"headers": (), "query_string": b"watch=1", exchange.LEAVING: None})
    call.scope.pop(headers.KEY, None)


async def _close_when_gone(call: route.Call, subscription: rows.Subscription) -> None:
    """End the stream when the client has left."""
    while (await call.receive())["type"] != "http.disconnect":
        continue
    subscription.close()
