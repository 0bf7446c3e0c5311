"""When to compact: history keeps a number of revisions and an age."""

import structlog

from boxfleet.kit import clock
from boxfleet.store import errors, store
from boxfleet.store import settings as settings_

log = structlog.get_logger()


async def run(log_store: store.Store, *, clock: clock.Clock, settings: settings_.Settings) -> None:
    """Compact from time to time until cancelled."""
    # (moment, newest revision then): what was newest long enough ago is old now.
    samples: list[tuple[float, int]] = []
    while True:
        now = clock.monotonic()
        samples.append((now, log_store.revision))
        old = [sample for sample in samples if sample[0] <= now - settings.keep_seconds]
        if old:
            samples = samples[len(old) - 1 :]
            try:
                await log_store.compact(to=old[-1][1])
            except errors.StoreError as error:
                # It loses nothing but room, and the next round tries again.
                log.warning("compaction failed", cause=str(error))
        await clock.sleep(settings.compact_every)
