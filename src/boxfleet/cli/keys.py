"""``boxfleet secrets|tokens|ca rotate``, ``boxfleet node|server token``: keys in place of old ones, and for others."""

import asyncio
import datetime
import os
import pathlib
import sys

import msgspec
from cryptography import x509

from boxfleet.apiserver.identity import join_tokens
from boxfleet.app import (
    access,
    bootstrap,
    handing_over,
    hosts,
    lifecycle,
    node_tokens,
    objects,
    paths,
    pki,
    secret_keys,
    settings,
    supervision,
    token_keys,
)
from boxfleet.cli import faults, options, output
from boxfleet.store import where as where_


def rotate_secrets(known: settings.All) -> int:
    """Put a new key first, and have the server write all Secrets anew with it."""
    where = paths.of(known)
    _require_root()
    with lifecycle.one_at_a_time(where, say=output.say):
        if not where.secret_keys.exists():
            raise faults.CommandFailed(
                f"there is no {where.secret_keys}: Boxfleet was not started here, try boxfleet up"
            )
        fresh = secret_keys.add(where.secret_keys, now=datetime.datetime.now(datetime.UTC))
        _restart(known)
    output.say(f"Secrets lie under the key {fresh} now; older keys stay in {where.secret_keys} for backups")
    _tell_of_others(known)
    return 0


def rotate_tokens(known: settings.All, *, revoke: bool) -> int:
    """Put a new key first, and have the server sign with it."""
    where = paths.of(known)
    _require_root()
    with lifecycle.one_at_a_time(where, say=output.say):
        if not where.token_keys.exists():
            raise faults.CommandFailed(
                f"there is no {where.token_keys}: Boxfleet was not started here, try boxfleet up"
            )
        token_keys.rotate(where.token_keys, now=datetime.datetime.now(datetime.UTC), revoke=revoke)
        _restart(known)
    output.say("all earlier tokens have ended" if revoke else "new tokens have a new signature; earlier ones go on")
    _tell_of_others(known)
    return 0


def rotate_authority(known: settings.All, *, finish: bool) -> int:
    """The first or the second step of a rotation."""
    where = paths.of(known)
    _require_root()
    with lifecycle.one_at_a_time(where, say=output.say):
        if not where.ca_certificate.exists():
            raise faults.CommandFailed(
                f"there is no {where.ca_certificate}: Boxfleet was not started here, try boxfleet up"
            )
        if not (pki.finish_rotation(where.pki) if finish else pki.begin_rotation(where.pki)):
            raise faults.CommandFailed(
                "no rotation is under way: begin one with boxfleet ca rotate"
                if finish
                else "a rotation is under way: end it with boxfleet ca rotate --finish"
            )
        bootstrap.prepare(known, now=datetime.datetime.now(datetime.UTC))
        _restart(known)
        # It shows a certificate of the new authority from now on.
        if any(each.name == "agent" and each.up for each in supervision.states(where)):
            supervision.bring_up(where, "agent", restart=True)
    _tell_of_others(known)
    if finish:
        output.say("the old authority counts no more: certificates that it signed open nothing")
    else:
        output.say(
            f"there are two authorities now: give clients {where.ca_certificate}, or {where.admin_kubeconfig}, anew"
        )
        output.say("and when all have it: boxfleet ca rotate --finish")
    return 0


def _tell_of_others(known: settings.All) -> None:
    """Where servers share a store, the others have not got what is new."""
    if isinstance(objects.place(known), where_.Postgres):
        output.say(
            "other servers of this store have not got it yet: for each of them, now, boxfleet server token here, and "
            "there the line that it prints"
        )


def node_token(
    known: settings.All, *, uses: int, minutes: int, node: str, form: options.Format, kubeconfig: str | None
) -> int:
    """Make a join token, and say the line that joins a host by it."""
    if kubeconfig is None:
        server, authorities = access.announced_url(known), ""
    else:
        given = access.read_kubeconfig(pathlib.Path(kubeconfig))
        server, authorities = given.server, given.authority
    token = asyncio.run(_node_token(known, uses=uses, minutes=minutes, node=node, kubeconfig=kubeconfig))
    certificates = authorities.encode() or paths.of(known).ca_certificate.read_bytes()
    # The first one signs what the server shows, also during a rotation.
    authority = handing_over.pin_of(x509.load_pem_x509_certificates(certificates)[0])
    _warn_of_loopback(server)
    line = hosts.line(server, authority, token)
    if form is options.Format.TEXT:
        output.say(line)
    else:
        output.data({"token": token, "server": server, "authority": authority, "line": line}, form)
    return 0


async def _node_token(known: settings.All, *, uses: int, minutes: int, node: str, kubeconfig: str | None) -> str:
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=minutes)
    marks = join_tokens.Marks(node=node) if node else None
    made = node_tokens.make(uses=uses, expires=end, marks=marks)
    async with access.way(known, kubeconfig) as api:
        await api.create(made.secret)
    return made.token


def server_token(known: settings.All, *, minutes: int, kubeconfig: str | None) -> int:
    """Make a token by which a server joins."""

    async def work() -> handing_over.Made:
        async with access.way(known, kubeconfig) as api:
            body = handing_over.TokenWish(minutes=minutes)
            return msgspec.convert(await api.call("POST", handing_over.TOKENS_PATH, body=body), handing_over.Made)

    made = asyncio.run(work())
    _warn_of_loopback(made.server)
    # What is piped by the shell itself is in no list of processes.
    output.say(f"echo {made.token} | boxfleet up --join {made.server} --authority {made.authority} --token-file -")
    return 0


def _warn_of_loopback(server: str) -> None:
    if node_tokens.is_loopback(server):
        sys.stderr.write(
            f"boxfleet: no other machine reaches {server}: boxfleet up --listen ADDRESS, or set `advertise`\n"
        )


def _restart(known: settings.All) -> None:
    """Have the server begin anew, and wait until it serves; one that is down begins with it anyway."""
    where = paths.of(known)
    if not any(each.name == "server" and each.up for each in supervision.states(where)):
        return
    supervision.bring_up(where, "server", restart=True)
    try:
        asyncio.run(_serving(known))
    except lifecycle.LifecycleError as error:
        raise faults.CommandFailed(str(error)) from None


async def _serving(known: settings.All) -> None:
    async with access.admin(known) as api:
        await lifecycle.wait_serving(known, api)


def _require_root() -> None:
    if os.geteuid() != 0:
        raise faults.CommandFailed("keys belong to root: run it again with sudo")
