"""Where other servers write to the same log: requests see what any of them has acknowledged before.

A resourceVersion in the query asks for less, as Kubernetes defines it: 0 for whatever is known here, another one for a
state that is at least as new.

While the database is away, the newest state cannot be known, and is refused. Only what helps most at such a time goes
on with what is known here: a Pod that is read by its name, which is also how kubectl begins logs, exec and their like,
and these themselves. Whoever reads is warned how old it is; that there is no such Pod is told to nobody. Lists stay
refused: agents and controllers draw conclusions from what is not in them.
"""

import asyncio

from boxfleet.api import pod
from boxfleet.apiserver import faults, reading, registry, route
from boxfleet.store import errors, store

# Seconds to wait for a revision that another server gave out, as the real server waits.
_PATIENCE = 3.0
# What goes to an agent. What an agent dials needs no state at all.
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
    try:
        # Nobody is kept waiting for a database that stands still, where there is a way without it.
        async with asyncio.timeout(_PATIENCE if access.subresource in _STREAMS else None):
            await shared.current()
    except (errors.StoreError, TimeoutError) as error:
        why = str(error) or "cannot read the newest state: the database does not answer"
        if not _is_known_pod(shared, call, access):
            raise faults.unavailable(why) from error
        call.warnings.append(f"this Pod is shown as it was known here last: {shared.trouble or why}")


def _is_known_pod(shared: store.Store, call: route.Call, access: route.Access) -> bool:
    """Whether one Pod is asked for, to be read or for what its agent gives, and it is in memory."""
    if access.group or access.resource != pod.Pod.KIND.plural or access.verb == "list":
        return False
    if access.subresource not in _STREAMS and (access.subresource or access.verb != "get"):
        return False
    where = registry.key(pod.Pod.KIND, namespace=call.params.get("namespace", ""), name=call.params.get("name", ""))
    return shared.get(where) is not None
