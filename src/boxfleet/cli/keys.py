"""``boxfleet secrets rotate`` and ``boxfleet tokens rotate``: new keys in place of old ones."""

import asyncio
import datetime
import os

from boxfleet.app import access, lifecycle, paths, secret_keys, settings, supervision, token_keys
from boxfleet.cli import faults, output


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
    return 0


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
