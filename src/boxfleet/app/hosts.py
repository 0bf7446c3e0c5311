"""How a machine becomes a further host: with a token it gets its node's certificate, and runs an agent from then on.

It knows the server by the hash of its authority, as a further server does (`further`). The certificate comes before
anything is started, so that what is refused is said by the command, and nothing is left running.
"""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Callable

import boxfleet
from boxfleet.api import node, roles
from boxfleet.apiserver.identity import join_tokens
from boxfleet.app import further, handing_over, joining, lifecycle, paths, settings
from boxfleet.client import client as clients
from boxfleet.client import errors, servers
from boxfleet.kit import clock as clocks
from boxfleet.kit import durable

Say = Callable[[str], None]

AGAIN = "boxfleet node token on the server makes another one"
# Seconds for this machine's node to be Ready.
_NODE = 90.0


async def join(known: settings.All, other: further.Other, *, say: Say) -> settings.All:
    """Get this host's certificate; the settings to start with. Raises further.JoinError."""
    own = paths.of(known)
    further.check_place(other)
    shown = join_tokens.public_part(other.token)
    if not shown:
        raise further.JoinError(f"this is not a token of boxfleet node token: {other.again}")
    if own.fixed.exists() and known.serves:
        raise further.JoinError(
            "this machine runs a server, with an agent of its own: take another machine, or begin anew, which loses "
            "its objects (boxfleet down --purge)"
        )
    if own.agent_certificate.exists() and own.joined.exists() and own.joined.read_bytes() == further.mark(other):
        say("this machine has joined by this token already")
        return known
    fleet = await asyncio.to_thread(_fetch, other, shown)
    _check(known, fleet)
    wanted = dataclasses.replace(
        known, serves=False, servers=(other.url,), domain=fleet.domain, cidr=fleet.cidr, bridge=fleet.bridge
    )
    for folder in (own.state, own.run):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    for folder in (own.pki, own.credentials):
        paths.make_private(folder)
    before = {path: path.read_bytes() for path in (own.agent_certificate, own.ca_certificate) if path.exists()}
    own.agent_certificate.unlink(missing_ok=True)
    durable.write(own.ca_certificate, fleet.certificates.encode(), mode=0o644)
    durable.write(own.agent_token, other.token.encode() + b"\n", mode=0o600)
    member = joining.Joining(wanted, through=servers.Servers(wanted.servers), clock=clocks.SystemClock())
    try:
        await member.obtain()
    except (errors.ApiError, joining.Refused, OSError) as error:
        # A host that is refused goes on as what it was.
        for path, content in before.items():
            durable.write(path, content, mode=0o600 if path == own.agent_certificate else 0o644)
        raise further.JoinError(f"{other.url} gives no certificate: {error}. {other.again}") from None
    finally:
        # It has done its work, or is to be given again.
        own.agent_token.unlink(missing_ok=True)
    settings.save(wanted)
    durable.write(own.joined, further.mark(other), mode=0o600)
    say(f"this machine is the host {wanted.node} of {other.url}")
    return wanted


def _fetch(other: further.Other, shown: str) -> handing_over.Authority:
    """First from whoever answers; then, held against the hash, from who has its certificate."""
    kind = handing_over.Authority
    found = further.asked(other, further.anybody(), "GET", roles.AUTHORITY_PATH, token=shown, kind=kind)
    trusted = further.trusting(other, found.certificates)
    return further.asked(other, trusted, "GET", roles.AUTHORITY_PATH, token=other.token, kind=kind)


def _check(known: settings.All, fleet: handing_over.Authority) -> None:
    if fleet.version != boxfleet.__version__:
        raise further.JoinError(
            f"the server is Boxfleet {fleet.version or 'of an older version'} and this machine has "
            f"{boxfleet.__version__}: install the same version here"
        )
    if fleet.node == known.node:
        raise further.JoinError(
            f"this machine calls its Node {known.node}, which is the name of the server's: give it another one by "
            "--node"
        )


@contextlib.asynccontextmanager
async def _as_node(known: settings.All) -> AsyncIterator[clients.Client]:
    member = joining.Joining(known, through=servers.Servers(known.servers), clock=clocks.SystemClock())
    api = member.api()
    try:
        yield api
    finally:
        await api.close()


async def wait_ready(known: settings.All, *, since: float) -> None:
    """Return when this machine's node is Ready, by what it said after `since` (seconds since the epoch).

    Raises lifecycle.LifecycleError when it takes too long.
    """
    log = paths.of(known).logs / "agent" / "current"
    end = time.monotonic() + _NODE
    why = "it has not said how it is"
    async with _as_node(known) as api:
        while time.monotonic() < end:
            try:
                why = _why_not(await api.get(node.Node, known.node), since)
            except errors.ApiError as error:
                why = error.message
            if not why:
                return
            await asyncio.sleep(0.1)
    raise lifecycle.LifecycleError(f"node {known.node} is not ready: {why}; its log: {log}")


def _why_not(subject: node.Node, since: float) -> str:
    """Why a node is not Ready; empty when it is. What an earlier agent said does not count."""
    for each in subject.status.conditions:
        if each.type == "Ready" and each.lastHeartbeatTime:
            if clocks.parse(each.lastHeartbeatTime).timestamp() < int(since):
                return "it has not said how it is"
            return "" if each.status == "True" else each.message or each.reason
    return "it has not said how it is"


def line(server: str, authority: str, token: str) -> str:
    """What is run on the machine that joins; what is piped by the shell itself is in no list of processes."""
    return f"echo {token} | boxfleet node join {server} --authority {authority} --token-file -"
