"""Where other servers write to the same log: requests see what any of them has acknowledged before.

A resourceVersion in the query asks for less, as Kubernetes defines it: 0 for whatever is known here, another one for a
state that is at least as new.
"""

import asyncio
import contextlib

from boxfleet.apiserver import faults, reading, route
from boxfleet.store import errors, store

# Seconds to wait for a revision that another server gave out, as the real server waits.
_PATIENCE = 3.0
# What goes to an agent sees what another server acknowledged too, but helps most when the database is away: then it
# does with what is known here. What an agent dials needs no state at all.
_STREAMS = frozenset({"log", "exec", "attach", "portforward"})
_DIALLED = "tunnel"


async def wait(shared: store.Store, call: route.Call, access: route.Access) -> None:
    """Return when memory is as new as the request asks for; raises Fault 400 and 503."""
    if not access.resource or access.subresource == _DIALLED:
        return
    text = call.one("resourceVersion")
    if text:
        await shared.reach(reading.parse_revision(text), timeout=_PATIENCE)
        return
    if access.subresource in _STREAMS:
        with contextlib.suppress(errors.StoreError, TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await shared.current()
        return
    try:
        await shared.current()
    except errors.StoreError as error:
        raise faults.unavailable(str(error)) from error
