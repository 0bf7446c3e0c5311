"""``boxfleet audit``: who did what, from this machine's files or by the API."""

import asyncio
import datetime
import pathlib
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from boxfleet.api import audit
from boxfleet.apiserver.audit import search
from boxfleet.app import access, paths, settings
from boxfleet.cli import faults, options, output

# Between looks for what is new, in seconds.
_FOLLOW = 0.5
_HEAD = ("TIME", "USER", "VERB", "OBJECT", "CODE", "FROM")


def run(
    known: settings.All, form: options.Lines, given: dict[str, str], *, follow: bool, kubeconfig: str | None
) -> int:
    """Print the records that fit; `given` is what was asked for, in the words of `GET /audit`."""
    if kubeconfig is not None:
        if follow:
            raise faults.CommandFailed("--follow reads this machine's files: leave --kubeconfig out")
        _show(asyncio.run(_asked(pathlib.Path(kubeconfig), given)), form)
        return 0
    folder = paths.of(known).audit
    wish = _wish(given)
    try:
        next(folder.iterdir(), None)
    except FileNotFoundError:
        raise faults.CommandFailed(f"there is no {folder}: no server has run here") from None
    looking = search.Search(folder, wish)
    if follow:
        _follow(folder, looking, form, latest=wish.limit > 0)
        return 0
    _show(looking.run(), form)
    if looking.unreadable:
        sys.stderr.write(f"boxfleet: {looking.unreadable} lines are no records: a power cut tears one\n")
    return 0


def _wish(given: dict[str, str]) -> search.Wish:
    now = datetime.datetime.now(datetime.UTC)
    try:
        since, until = (search.moment(given[name], now=now) if given.get(name) else None for name in ("since", "until"))
    except search.SearchError as error:
        raise faults.CommandFailed(str(error)) from None
    words = {name: given.get(name, "") for name in ("user", "tenant", "namespace", "verb", "resource", "name")}
    limit = int(given.get("limit") or 0)
    return search.Wish(**words, since=since, until=until, denied="denied" in given, limit=limit)


async def _asked(kubeconfig: pathlib.Path, given: dict[str, str]) -> list[search.Found]:
    decoder = msgspec.json.Decoder(audit.Event)
    async with access.by_kubeconfig(kubeconfig) as api:
        return [search.Found(decoder.decode(line), line + b"\n") async for line in api.lines("/audit", query=given)]


def _show(found: Iterable[search.Found], form: options.Lines) -> None:
    match form:
        case options.Lines.JSONL:
            for one in found:
                sys.stdout.buffer.write(one.line)
        case options.Lines.TABLE:
            rows = [_row(one.event) for one in found]
            for line in output.columns([_HEAD, *rows]):
                output.say(line)
        case _:
            items = [msgspec.json.decode(one.line) for one in found]
            whole = {"kind": "EventList", "apiVersion": audit.API_VERSION, "items": items}
            output.data(whole, options.Format(form.value))


def _follow(folder: pathlib.Path, looking: search.Search, form: options.Lines, *, latest: bool) -> None:
    tail = search.Tail(folder, looking)
    try:
        if latest:
            _lines(looking.run(), form)
        while True:
            _lines(tail.take(), form)
            time.sleep(_FOLLOW)
    finally:
        tail.close()


def _lines(found: Iterable[search.Found], form: options.Lines) -> None:
    for one in found:
        if form is options.Lines.TABLE:
            output.say("  ".join(_row(one.event)))
        else:
            sys.stdout.buffer.write(one.line)
            sys.stdout.buffer.flush()


def _row(event: audit.Event) -> tuple[str, ...]:
    who = event.user.username or "-"
    if event.impersonatedUser is not None:
        who += f" as {event.impersonatedUser.username}"
    status = event.responseStatus or audit.Status()
    ended = f"{status.code} {status.reason}".strip()
    if event.stage == audit.STARTED:
        ended = "begins"
    shown = (
        event.stageTimestamp.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        who,
        event.verb,
        _object(event),
        ended,
        ", ".join(event.sourceIPs) or "-",
    )
    # Names come from outside, and a terminal would do what they say.
    return tuple("".join(letter if letter.isprintable() else "?" for letter in cell) for cell in shown)


def _object(event: audit.Event) -> str:
    about = event.objectRef
    if about is None:
        return event.requestURI
    kind = f"{about.resource}/{about.subresource}" if about.subresource else about.resource
    return " ".join(_parts(kind, about))


def _parts(kind: str, about: Any) -> Iterator[str]:
    yield kind
    if about.namespace and about.resource != "namespaces":
        yield f"{about.namespace}/{about.name}" if about.name else f"{about.namespace}/"
    elif about.name:
        yield about.name
