"""Loops that must not end: a failure is logged, and the loop begins again."""

from collections.abc import Awaitable, Callable

import structlog

from boxfleet.kit import backoff, clock

log = structlog.get_logger()

# A loop that ran this long (seconds) did well: its next failure counts as the first.
_WELL = 60.0


async def keep_running(
    name: str,
    run: Callable[[], Awaitable[None]],
    *,
    clock: clock.Clock,
    backoff: backoff.Backoff = backoff.Backoff(initial=0.1, limit=30.0),  # noqa: B008
) -> None:
    """Run until cancelled; after an exception again, later each time."""
    failures = 0
    while True:
        began = clock.monotonic()
        try:
            await run()
        except Exception:
            failures = 1 if clock.monotonic() - began > _WELL else failures + 1
            delay = backoff.delay(failures=failures)
            log.exception("loop failed, starting it again", loop=name, failures=failures, delay=delay)
            await clock.sleep(delay)
        else:
            return
