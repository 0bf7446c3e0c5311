"""Cuts off streams whose client takes nothing any more: what waits for it would stay in memory as long as it likes."""

import asyncio
import types

# Seconds that one piece may take until the client has room for more, and between two looks.
_STALL_SECONDS = 30.0
_LOOK_EVERY = 5.0


class Sending:
    """One stream, as a context manager around its task; sets `since` while it sends and 0 else.

    The block is left early, without an error, when the client has stalled.
    """

    __slots__ = ("_cut", "_stalls", "_task", "since")

    def __init__(self, stalls: "Stalls") -> None:
        self._stalls = stalls
        self._task: asyncio.Task[object] | None = asyncio.current_task()
        self._cut = False
        # When the present piece was given to be sent (seconds of the event loop).
        self.since = 0.0

    def __enter__(self) -> "Sending":
        self._stalls.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> bool:
        self._stalls.remove(self)
        if self._cut and kind is asyncio.CancelledError and self._task is not None:
            # It was this cancellation unless somebody else wants the task to end as well.
            return self._task.uncancel() == 0
        return False

    def cut(self) -> None:
        """End it."""
        if not self._cut and self._task is not None:
            self._cut = True
            self._task.cancel()


class Stalls:
    """Looks at all streams from time to time; one timer for all of them, and none while there are none."""

    def __init__(self) -> None:
        self._open: set[Sending] = set()
        self._timer: asyncio.TimerHandle | None = None

    def sending(self) -> Sending:
        """A stream of the present task."""
        return Sending(self)

    def add(self, one: Sending) -> None:
        """Look at it from now on."""
        self._open.add(one)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_EVERY, self._look)

    def remove(self, one: Sending) -> None:
        """No longer."""
        self._open.discard(one)
        if not self._open and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        late = loop.time() - _STALL_SECONDS
        for one in self._open:
            if 0.0 < one.since < late:
                one.cut()
        self._timer = loop.call_later(_LOOK_EVERY, self._look)
