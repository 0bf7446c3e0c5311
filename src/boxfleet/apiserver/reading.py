"""Get and list, from memory."""

import asyncio
import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from boxfleet.api import kind as kinds
from boxfleet.apiserver import faults, negotiate, options, registry, route, selectors, tables
from boxfleet.store import errors, rows

_EXPIRED_CONTINUE = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)
_FORMAT = "meta.k8s.io/v1"
# Objects that are looked into, and that are only copied, before others get their turn: a few milliseconds.
_AT_ONCE = 256
_COPIED_AT_ONCE = 4096
_REVISION = re.compile(r"\d{1,18}")


class _Token(msgspec.Struct):
    """Where a list goes on: the revision it is read at (-1: the newest) and the last key that was given."""

    rv: int
    start: str
    v: str = _FORMAT


class _ListMeta(msgspec.Struct, omit_defaults=True):
    resourceVersion: str
    continue_: str = msgspec.field(name="continue", default="")
    remainingItemCount: int | None = None


class Reading:
    """The reading verbs of all kinds."""

    def __init__(self, registry: registry.Registry) -> None:
        self._registry = registry

    async def get(self, call: route.Call, kind: kinds.Kind) -> bytes:
        """One object, in the form that the client wants."""
        form = negotiate.accepted(call.headers.get("accept", ""))
        if "resourceVersion" in call.query:
            revision = parse_revision(call.one("resourceVersion"))
            if revision > self._registry.store.revision:
                raise faults.too_large_revision(revision, self._registry.store.revision)
        row = self._registry.read(kind, namespace=call.params.get("namespace", ""), name=call.params["name"])
        return self.rendered(call, kind, row.value, form)

    def rendered(self, call: route.Call, kind: kinds.Kind, value: bytes, form: negotiate.Form) -> bytes:
        """One object's bytes in a form."""
        if not form.as_:
            return value
        obj = registry.decode(value)
        if form.as_ == "Table":
            table = tables.table(
                kind,
                [obj],
                now=self._registry.clock.now(),
                include=include_of(call),
                resource_version=obj["metadata"]["resourceVersion"],
            )
            return encode_form(table, form)
        return encode_form(tables.partial_metadata(obj), form)

    async def list(self, call: route.Call, kind: kinds.Kind) -> bytes:
        """All objects that match, or a page of them, in the form that the client wants."""
        form = negotiate.accepted(call.headers.get("accept", ""))
        selection = selectors.parse(kind, labels=call.one("labelSelector"), fields=call.one("fieldSelector"))
        limit = options.integer(call, "limit")
        options.integer(call, "timeoutSeconds")
        namespace = call.params.get("namespace", "")
        token, revision = self._position(call)
        # Rows never change, so what is found here stays one consistent state however long the rest takes.
        found = self._rows(kind, namespace, selection, token, revision)
        if selection:
            # One more than wanted tells that there is more.
            found = await _selected(found, selection, at_most=limit + 1 if limit else len(found))
        metadata = _ListMeta(resourceVersion=str(revision))
        if limit and len(found) > limit:
            metadata.continue_ = _encode_token(_Token(rv=revision, start=found[limit - 1].key))
            if not selection:
                metadata.remainingItemCount = len(found) - limit
            found = found[:limit]
        if form.as_:
            return await self._in_form(call, kind, found, metadata, form)
        listing = _Listing(kind, metadata)
        for at in range(0, len(found), _COPIED_AT_ONCE):
            if at:
                await asyncio.sleep(0)
            listing.add([row.value for row in found[at : at + _COPIED_AT_ONCE]])
        return listing.end()

    async def _in_form(
        self, call: route.Call, kind: kinds.Kind, found: Sequence[rows.Row], metadata: _ListMeta, form: negotiate.Form
    ) -> bytes:
        now, include = self._registry.clock.now(), include_of(call)
        parts = []
        for at in range(0, len(found), _AT_ONCE):
            decoded = (registry.decode(row.value) for row in found[at : at + _AT_ONCE])
            if form.as_ == "Table":
                some: Sequence[object] = tables.rows(kind, decoded, now=now, include=include)
            else:
                some = [tables.partial_metadata(obj) for obj in decoded]
            parts.append(msgspec.json.encode(some)[1:-1])
            await asyncio.sleep(0)
        if form.as_ == "Table":
            empty = tables.document(
                kind,
                [],
                resource_version=metadata.resourceVersion,
                continue_token=metadata.continue_,
                remaining=metadata.remainingItemCount,
            )
        else:
            empty = tables.partial_metadata_list([], metadata=msgspec.to_builtins(metadata))
        # Rows and items come last in both, so that what is encoded already goes in before the end.
        return b"".join((encode_form(empty, form).removesuffix(b"]}"), b",".join(parts), b"]}"))

    def _position(self, call: route.Call) -> tuple[_Token | None, int]:
        """Where a list begins and at which revision it is read; raises Fault 400, 422 and 504."""
        current = self._registry.store.revision
        match = call.one("resourceVersionMatch")
        text = call.one("resourceVersion")
        continued = call.one("continue")
        problems = _list_errors(call, match=match, revision=text, continued=continued)
        if problems:
            raise faults.invalid_options("ListOptions", problems)
        if continued:
            if text not in ("", "0"):
                raise faults.bad_request("specifying resource version is not allowed when using continue")
            token = _decode_token(continued)
            return token, current if token.rv < 0 else token.rv
        wanted = parse_revision(text)
        if wanted > current:
            raise faults.too_large_revision(wanted, current)
        return None, wanted if match == "Exact" else current

    def _rows(
        self,
        kind: kinds.Kind,
        namespace: str,
        selection: selectors.Selection,
        token: _Token | None,
        revision: int,
    ) -> Sequence[rows.Row]:
        prefix = registry.prefix(kind, namespace=namespace)
        store = self._registry.store
        if revision < store.revision and (token is None or token.rv >= 0):
            try:
                found = store.snapshot(prefix, revision=revision)
            except errors.Compacted:
                if token is None:
                    raise faults.expired("The resourceVersion for the provided list is too old.") from None
                fault = faults.expired(_EXPIRED_CONTINUE)
                fault.metadata = {"continue": _encode_token(_Token(rv=-1, start=token.start))}
                raise fault from None
        elif selection.name and (namespace or not kind.namespaced):
            row = store.get(registry.key(kind, namespace=namespace, name=selection.name))
            found = [row] if row is not None else []
        else:
            found = store.range(prefix)
        if token is not None:
            found = [row for row in found if row.key > token.start]
        return self._registry.presented(kind, found)


async def _selected(found: Sequence[rows.Row], selection: selectors.Selection, *, at_most: int) -> list[rows.Row]:
    """The first rows that are selected; others get their turn in between."""
    taken: list[rows.Row] = []
    for at in range(0, len(found), _AT_ONCE):
        taken += [row for row in found[at : at + _AT_ONCE] if selection.matches(row.value)]
        if len(taken) >= at_most:
            return taken[:at_most]
        await asyncio.sleep(0)
    return taken


def _list_errors(call: route.Call, *, match: str, revision: str, continued: str) -> list[kinds.FieldError]:
    """What does not go together."""
    texts = []
    if match and not revision:
        texts.append("resourceVersionMatch is forbidden unless resourceVersion is provided")
    if match and continued:
        texts.append("resourceVersionMatch is forbidden when continue is provided")
    if match == "Exact" and revision == "0":
        texts.append('resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
    errors = [kinds.FieldError("resourceVersionMatch", text, kinds.Reason.FORBIDDEN) for text in texts]
    if match not in ("", "Exact", "NotOlderThan"):
        errors.append(
            kinds.FieldError(
                "resourceVersionMatch",
                f'Unsupported value: {faults.shown(match)}: supported values: "Exact", "NotOlderThan", ""',
                kinds.Reason.NOT_SUPPORTED,
            )
        )
    if call.one("sendInitialEvents"):
        errors.append(
            kinds.FieldError("sendInitialEvents", "sendInitialEvents is forbidden for list", kinds.Reason.FORBIDDEN)
        )
    return errors


class _Listing:
    """A list of objects that are encoded already, on its way to bytes."""

    def __init__(self, kind: kinds.Kind, metadata: object) -> None:
        self._body = bytearray(f'{{"kind":"{kind.listed}","apiVersion":"{kind.api_version}","metadata":'.encode())
        self._body += msgspec.json.encode(metadata)
        self._body += b',"items":['
        # As Kubernetes, which says the type of standard kinds once for all of a list.
        self._type = f'{{"kind":"{kind.kind}","apiVersion":"{kind.api_version}",'.encode() if kind.model else b""
        self._empty = True

    def add(self, values: Sequence[bytes]) -> None:
        """Some more of them."""
        if not values:
            return
        if not self._empty:
            self._body += b","
        self._empty = False
        if not self._type:
            self._body += b",".join(values)
            return
        body, type_, skipped = self._body, self._type, len(self._type)
        for value in values:
            if value.startswith(type_):
                body += b"{"
                # A slice of the bytes themselves would be copied twice.
                body += memoryview(value)[skipped:]
            else:
                body += value
            body += b","
        body.pop()

    def end(self) -> bytes:
        """The whole list."""
        self._body += b"]}"
        return bytes(self._body)


def encode_list(kind: kinds.Kind, values: Sequence[bytes], metadata: object) -> bytes:
    """A list of objects that are encoded already."""
    listing = _Listing(kind, metadata)
    listing.add(values)
    return listing.end()


def encode_form(document: dict[str, Any], form: negotiate.Form) -> bytes:
    """A Table or its like, in the version of meta.k8s.io that was asked for."""
    document["apiVersion"] = f"meta.k8s.io/{form.version}"
    return msgspec.json.encode(document)


def include_of(call: route.Call) -> tables.Include:
    """What rows of a table carry; raises Fault 400."""
    include = call.one("includeObject", "Metadata")
    if include not in ("None", "Metadata", "Object"):
        raise faults.bad_request(
            f'includeObject is {faults.shown(include)}: it must be one of "None", "Metadata" and "Object"'
        )
    return cast(tables.Include, include)


def parse_revision(text: str) -> int:
    """A resourceVersion in a query, 0 when it is not there; raises Fault 400."""
    if not text:
        return 0
    if _REVISION.fullmatch(text) is None:
        raise faults.bad_request(f"invalid resource version {faults.shown(text)}: it must be one that the server gave")
    return int(text)


def _encode_token(token: _Token) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(token)).decode().rstrip("=")


def _decode_token(text: str) -> _Token:
    try:
        token = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=_Token)
    except (msgspec.DecodeError, binascii.Error, ValueError):
        raise _bad_token() from None
    if token.v != _FORMAT:
        raise _bad_token()
    return token


def _bad_token() -> faults.Fault:
    return faults.bad_request("continue key is not valid: take it unchanged from the list before")
