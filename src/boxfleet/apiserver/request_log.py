"""One line in the log for each request that failed by our fault, or took long; the audit log has all the others.

No line holds a secret: of a query the values of what sounds like one are hidden, and headers are not written at all.
"""

from typing import Final

import structlog

from boxfleet.apiserver import route
from boxfleet.apiserver.audit import auditor

log = structlog.get_logger()

# A request that takes longer is told of, in seconds.
SLOW: Final = 1.0
_LONGEST: Final = 512


def tell(call: route.Call, *, code: int, seconds: float, streamed: bool) -> None:
    """A request has ended. What was `streamed` took as long as its client liked."""
    if code >= 500 and call.fault is not None:
        log.warning("a request failed", **_facts(call, code=code, seconds=seconds), cause=call.fault.message)
    elif seconds > SLOW and not streamed:
        log.warning("a request took long", **_facts(call, code=code, seconds=seconds))


def broke(call: route.Call) -> None:
    """A request ended by an exception that nobody foresaw, which is being handled now."""
    log.exception("a request broke", audit_id=call.audit_id, user=call.user.name, verb=call.method, path=_path(call))


def _facts(call: route.Call, *, code: int, seconds: float) -> dict[str, object]:
    return {
        "audit_id": call.audit_id,
        "user": call.user.name,
        "verb": call.method,
        "path": _path(call),
        "code": code,
        "milliseconds": round(seconds * 1000, 1),
    } | ({"waited_milliseconds": round(call.waited * 1000, 1)} if call.waited else {})


def _path(call: route.Call) -> str:
    return (f"{call.path}?{auditor.masked(call.query)}" if call.query else call.path)[:_LONGEST]
