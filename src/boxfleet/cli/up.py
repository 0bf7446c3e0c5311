"""``boxfleet up``: start Boxfleet, deliver, and show what happens until all is Ready."""

import asyncio
import dataclasses
import datetime
import os
import sys
from collections.abc import Iterable

from boxfleet.api import box
from boxfleet.app import access, delivery, further, images, lifecycle, manifests, paths, settings
from boxfleet.cli import faults, options, output, progress
from boxfleet.cli import join as host_join
from boxfleet.client import client as clients
from boxfleet.planning import health, sites


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """The server to join: its URL, the hash of its authority, and where the token is read (empty: it is asked for)."""

    url: str
    authority: str
    token_file: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Whom to join first, if anybody; what to deliver, and how long to wait for it (seconds)."""

    join: Join | None
    files: tuple[str, ...]
    namespace: str
    timeout: int
    wait: bool


def run(known: settings.All, wish: Wish, form: options.Format) -> int:
    """Start and deliver; 1 when not everything is Ready in time."""
    say = output.say if form is options.Format.TEXT else _quiet
    bundle = None
    if not known.serves and (wish.files or wish.join is not None):
        raise faults.CommandFailed(f"this machine is a host of {known.servers[0]}, and has no server: deliver there")
    piped = [*wish.files, *([wish.join.token_file] if wish.join is not None else [])].count(manifests.PIPED)
    if piped > 1:
        raise faults.CommandFailed("standard input can be read for one thing only: use a file for the others")
    try:
        if wish.files:
            bundle = read(wish.files, namespace=wish.namespace)
            _warn(bundle.warnings, form)
        if os.geteuid() != 0:
            raise faults.CommandFailed("up needs root: it makes containers, bridges and mounts. Run it again with sudo")
        if not known.serves:
            return host_join.again(known, say=say)
        other = None if wish.join is None else _other(wish.join)
        with lifecycle.one_at_a_time(paths.of(known), say=say):
            if other is not None:
                known = asyncio.run(further.join(known, other, say=say))
            started = lifecycle.start(known, say=say)
        token = started.admin_token
        if token:
            # Said at once: whatever fails from here on, it will not be new again.
            say(f"admin token (shown once, kept in the kubeconfig): {token}")
        result = asyncio.run(lifecycle.while_wanted(known, _deliver(known, wish, bundle, started, say)))
    except (
        manifests.ManifestError,
        further.JoinError,
        lifecycle.LifecycleError,
        delivery.Refused,
        images.ImageError,
    ) as error:
        raise faults.CommandFailed(str(error)) from None
    kubeconfig = paths.of(known).admin_kubeconfig
    if form is not options.Format.TEXT:
        data = {"ready": result.ready, "parts": result.parts, "sites": result.sites, "kubeconfig": str(kubeconfig)}
        output.data(data | ({"token": token} if token else {}), form)
        return _code(result, wish)
    for site in result.sites:
        say(f"site: {site}")
    say(f"kubeconfig: {kubeconfig}")
    return _code(result, wish)


def _code(result: "_Result", wish: Wish) -> int:
    """Who does not wait wants to know whether all was delivered, not whether all is Ready."""
    return 0 if result.ready or not wish.wait else 1


def _warn(warnings: Iterable[str], form: options.Format) -> None:
    """Warnings are never kept back; where the answer is data, they are beside it."""
    for words in warnings:
        if form is options.Format.TEXT:
            output.say(f"warning: {words}")
        else:
            sys.stderr.write(f"warning: {words}\n")


def read(files: Iterable[str], *, namespace: str) -> manifests.Bundle:
    """What these files and folders bring together, in their order. Raises manifests.ManifestError."""
    bundles = [manifests.read(file, namespace=namespace) for file in files]
    return manifests.Bundle(
        manifests=[each for bundle in bundles for each in bundle.manifests],
        # Files of one folder find the same ones.
        recipes=list(dict.fromkeys(path.absolute() for bundle in bundles for path in bundle.recipes)),
        warnings=[each for bundle in bundles for each in bundle.warnings],
    )


def _other(join: Join) -> further.Other:
    """With the token."""
    return further.Other(url=join.url, authority=join.authority, token=host_join.token(join.token_file))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """How the delivery is; `parts` is each thing in it."""

    ready: bool = True
    parts: list[health.Part] = dataclasses.field(default_factory=list)
    sites: list[str] = dataclasses.field(default_factory=list)


async def _deliver(
    known: settings.All, wish: Wish, bundle: manifests.Bundle | None, started: lifecycle.Started, say: images.Say
) -> _Result:
    async with access.admin(known) as api:
        await lifecycle.wait_ready(known, api, since=started.since, say=say)
        if bundle is None:
            say(f"boxfleet runs on {access.url_of(known)}")
            return _Result()
        # What is refused is refused before minutes are spent on images.
        bundle = await delivery.resolved(api, bundle)
        await delivery.check(api, bundle)
        if bundle.recipes:
            await images.build(known, bundle.recipes, refresh=False, load=True, say=say)
        await delivery.apply(api, bundle, say=say)
        since = lifecycle.running_since(known)
        if not wish.wait:
            return await _look(api, bundle, since)
        return await _watch(api, bundle, wish.timeout, since, say)


async def _look(api: clients.Client, bundle: manifests.Bundle, since: datetime.datetime) -> _Result:
    """How it is right now."""
    last = delivery.Look()
    async for look in delivery.progress(api, bundle, timeout=0, since=since):
        last = look
    return _result(bundle, last)


def _result(bundle: manifests.Bundle, look: delivery.Look) -> _Result:
    places = list(_sites(bundle, look.world)) if look.done else []
    return _Result(ready=look.done, parts=look.parts, sites=places)


async def _watch(
    api: clients.Client, bundle: manifests.Bundle, timeout: int, since: datetime.datetime, say: images.Say
) -> _Result:
    last = delivery.Look()
    with progress.view(live=sys.stdout.isatty() and say is output.say, say=say) as show:
        async for look in delivery.progress(api, bundle, timeout=timeout, since=since):
            last = look
            show(look.parts)
    if not last.done:
        say(f"not everything is Ready after {timeout} s:")
        for line in progress.final(last.parts):
            say(line)
    return _result(bundle, last)


def _sites(bundle: manifests.Bundle, world: health.World) -> Iterable[str]:
    names = {(each.namespace, each.name) for each in bundle.manifests if each.kind is box.Box}
    for one in world.boxes:
        if (one.metadata.namespace, one.metadata.name) in names:
            yield from sites.of_box(one, world.units, world.pods)


def _quiet(_: str) -> None:
    """Say nothing: only the result is wanted."""
