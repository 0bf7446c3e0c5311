"""Both levels together."""

import asyncio

from boxfleet.client import events as recorders
from boxfleet.client import shared
from boxfleet.kit import clock, supervise
from boxfleet.scheduler import binding, division, settings


class Scheduler:
    """The scheduler on shared caches; whoever made the caches runs them."""

    def __init__(self, shared: shared.Caches, *, clock: clock.Clock, settings: settings.Settings) -> None:
        self._shared = shared
        self._clock = clock
        self._events = recorders.Recorder(
            shared.api, component="boxfleet-scheduler", clock=clock, busy=lambda: self._binder.waiting > 0
        )
        self._divider = division.Divider(shared, events=self._events, clock=clock)
        self._binder = binding.Binder(shared, events=self._events, clock=clock, settings=settings)

    async def run(self) -> None:
        """Wait for the caches and work until cancelled."""
        # Deciding on half of what runs would put two instances where one fits.
        await self._shared.synced()
        loops = {"placement": self._divider.run, "binding": self._binder.run, "events": self._events.run}
        async with asyncio.TaskGroup() as group:
            for name, run in loops.items():
                group.create_task(supervise.keep_running(name, run, clock=self._clock), name=name)
