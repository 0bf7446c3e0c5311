"""Requests in flight are bounded, and whoever asks for much waits, not the others.

One event loop answers everything, so what one request computes all others wait for. Whoever made the loop compute for
long is in debt for as long, and his next requests wait in a queue of his own. Queues are served in turn, one request
each time, by deficit round robin (Shreedhar and Varghese, 1995) over the seconds that requests really took; between two
turns the loop hears of what arrived meanwhile. Who is in no debt passes by at once.

As long as nobody is in debt and nothing waits, this is a counter and two comparisons for each request.
"""

import asyncio
import collections
import dataclasses
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from boxfleet.apiserver import authn, faults

# A request that computes for less leaves no debt, in seconds.
_LIGHT: Final = 0.002
# What each queue may spend in one round, in seconds.
_QUANTUM: Final = 0.010
# Users that are remembered for their rate; when there are more, all begin anew.
_REMEMBERED: Final = 10_000
_SWEEP_SECONDS: Final = 1.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much goes on at a time. Each count is for people and programs, and again for Boxfleet's own parts."""

    reading: int = 400
    writing: int = 200
    # Of one user, so that one who sends his bodies slowly leaves room for others.
    writing_by_user: int = 100
    watches: int = 50_000
    streams: int = 5_000
    # Requests of one user that may wait, and for how long in seconds.
    queue: int = 200
    wait: float = 15.0
    # Requests of one user a second, in the long run, and at once; 0 is any number.
    rate: float = 0.0
    burst: float = 0.0


class Lane:
    """Requests of one sort that are under way."""

    __slots__ = ("limit", "queues", "running", "writes")

    def __init__(self, limit: int, *, queues: bool, writes: bool) -> None:
        self.limit = limit
        # Its requests wait for others. Those of agents and own parts do not, nor does what lasts for as long as its
        # client likes, whose time says nothing either.
        self.queues = queues
        self.writes = writes
        self.running = 0


class _Waiting:
    """A request in a queue."""

    __slots__ = ("future", "lane")

    def __init__(self, lane: Lane, future: "asyncio.Future[None]") -> None:
        self.lane = lane
        self.future = future


class _Flow:
    """A user who is in debt, or has requests that wait."""

    __slots__ = ("clear_at", "deficit", "name", "queue")

    def __init__(self, name: str) -> None:
        self.name = name
        self.queue: collections.deque[_Waiting] = collections.deque()
        # When the debt is paid.
        self.clear_at = 0.0
        self.deficit = 0.0


class _Bucket:
    """A user's requests a second."""

    __slots__ = ("at", "tokens")

    def __init__(self, tokens: float, at: float) -> None:
        self.tokens = tokens
        self.at = at


class Fairness:
    """Lets requests in. `own` are the users of Boxfleet's own parts; `group` is that of its agents."""

    def __init__(
        self,
        limits: Limits = Limits(),  # it has no state
        *,
        time: Callable[[], float],
        own: Collection[str] = (),
        group: str = "system:nodes",
    ) -> None:
        self._limits = limits
        self._time = time
        self._own = frozenset(own)
        self._group = group
        sorts = {
            "reading": limits.reading,
            "writing": limits.writing,
            "watches": limits.watches,
            "streams": limits.streams,
        }
        self._of_all, self._of_own = (
            {
                kind: Lane(limit, queues=kind in ("reading", "writing") and not own, writes=kind == "writing")
                for kind, limit in sorts.items()
            }
            for own in (False, True)
        )
        self._flows: dict[str, _Flow] = {}
        # Flows with requests that wait, in the order of their turns.
        self._ring: collections.deque[_Flow] = collections.deque()
        self._writers: dict[str, int] = {}
        self._buckets: dict[str, _Bucket] = {}
        self._pumping = False
        self._sweeping = False
        # What became of requests.
        self.queued = 0
        self.waited = 0
        self.waited_seconds = 0.0
        self.rejected = 0

    def enter(self, user: authn.User, *, kind: str, heavy: bool) -> "tuple[Lane, Awaitable[float] | None]":
        """The lane of a request that may begin, and what to wait for before it does.

        What is waited for says for how long it was. `heavy` may compute for long. Raises Fault 429, as waiting does.
        """
        own = user.name in self._own or self._group in user.groups
        lane = self._of_own[kind] if own else self._of_all[kind]
        if self._limits.rate and not own:
            self._spend(user.name)
        if not lane.queues:
            if lane.running >= lane.limit:
                raise self._too_many(f"{lane.limit} {kind} are open already")
            lane.running += 1
            return lane, None
        if lane.running < lane.limit and (not self._flows or self._passes(user.name, heavy=heavy)):
            if not lane.writes:
                lane.running += 1
                return lane, None
            mine = self._writers.get(user.name, 0)
            if mine < self._limits.writing_by_user:
                self._writers[user.name] = mine + 1
                lane.running += 1
                return lane, None
        return lane, self._wait(user.name, lane)

    def leave(self, user: authn.User, lane: Lane, *, seconds: float) -> None:
        """A request is done; `seconds` is how long it took once it had begun."""
        lane.running -= 1
        if not lane.queues:
            return
        if lane.writes:
            left = self._writers[user.name] - 1
            if left:
                self._writers[user.name] = left
            else:
                del self._writers[user.name]
        elif seconds > _LIGHT:
            # A write mostly waits for the disk; what a read takes, it computes.
            self._charge(user.name, seconds)
        if self._ring:
            self._pump_soon()

    def _passes(self, name: str, *, heavy: bool) -> bool:
        """Whether a request need not wait while others are in debt."""
        flow = self._flows.get(name)
        if flow is None:
            return not (heavy and self._ring)
        if flow.queue or flow.clear_at > self._time():
            return False
        del self._flows[name]
        return not (heavy and self._ring)

    def _charge(self, name: str, seconds: float) -> None:
        flow = self._flow(name)
        flow.clear_at = max(flow.clear_at, self._time()) + seconds
        flow.deficit -= seconds

    def _flow(self, name: str) -> _Flow:
        flow = self._flows.get(name)
        if flow is None:
            flow = self._flows[name] = _Flow(name)
            if not self._sweeping:
                self._sweeping = True
                asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)
        return flow

    def _sweep(self) -> None:
        """Forget who is out of debt."""
        now = self._time()
        for name, flow in list(self._flows.items()):
            if not flow.queue and flow.clear_at <= now:
                del self._flows[name]
        self._sweeping = bool(self._flows)
        if self._sweeping:
            asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)

    async def _wait(self, name: str, lane: Lane) -> float:
        flow = self._flow(name)
        if len(flow.queue) >= self._limits.queue:
            raise self._too_many(f"{self._limits.queue} requests of this user wait already")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(lane, loop.create_future())
        if not flow.queue:
            self._ring.append(flow)
        flow.queue.append(waiting)
        self.queued += 1
        began = self._time()
        self._pump_soon()
        try:
            async with asyncio.timeout(self._limits.wait):
                await waiting.future
        except BaseException as error:
            if waiting.future.done() and not waiting.future.cancelled():
                # It was let in at the same moment: the place is another's.
                self._forget(name, lane)
                self._pump_soon()
            elif waiting in flow.queue:
                flow.queue.remove(waiting)
                self._leave_ring(flow)
            if isinstance(error, TimeoutError):
                raise self._too_many(f"no turn came within {self._limits.wait:g} s") from None
            raise
        finally:
            self.queued -= 1
            self.waited += 1
            waited = self._time() - began
            self.waited_seconds += waited
        return waited

    def _forget(self, name: str, lane: Lane) -> None:
        lane.running -= 1
        if lane.writes:
            self._writers[name] -= 1
            if not self._writers[name]:
                del self._writers[name]

    def _pump_soon(self) -> None:
        if not self._pumping:
            self._pumping = True
            # Two turns of the loop: in the first it hears of what arrived, in the second that is let in.
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._pump)

    def _pump(self) -> None:
        """Let one request in: the next of the next user whose turn it is."""
        self._pumping = False
        # Each round gives every queue its quantum, so some queue is out of the red after a few.
        for _ in range(2 * len(self._ring)):
            flow = self._ring[0]
            if not self._has_room(flow):
                self._ring.rotate(-1)
                continue
            if flow.deficit <= 0:
                flow.deficit += self._grant()
                self._ring.rotate(-1)
                continue
            self._let_in(flow)
            break
        if self._ring and any(self._has_room(flow) for flow in self._ring):
            self._pump_soon()

    def _grant(self) -> float:
        """What a queue gets in one round: at least so much that one of them can go."""
        least = max(flow.deficit for flow in self._ring if self._has_room(flow))
        return max(_QUANTUM, _QUANTUM - least)

    def _has_room(self, flow: _Flow) -> bool:
        lane = flow.queue[0].lane
        if lane.running >= lane.limit:
            return False
        return not lane.writes or self._writers.get(flow.name, 0) < self._limits.writing_by_user

    def _let_in(self, flow: _Flow) -> None:
        waiting = flow.queue.popleft()
        # One that gave up may not have come to say so yet.
        if not waiting.future.cancelled():
            waiting.lane.running += 1
            if waiting.lane.writes:
                self._writers[flow.name] = self._writers.get(flow.name, 0) + 1
            waiting.future.set_result(None)
            # What it really takes is known, and charged, once it is done.
            flow.deficit -= _LIGHT
        self._ring.rotate(-1)
        self._leave_ring(flow)

    def _leave_ring(self, flow: _Flow) -> None:
        if not flow.queue:
            self._ring.remove(flow)
            flow.deficit = min(flow.deficit, 0.0)

    def _spend(self, name: str) -> None:
        """One request of a user's rate; raises Fault 429."""
        now = self._time()
        rate, most = self._limits.rate, max(self._limits.burst, self._limits.rate, 1.0)
        bucket = self._buckets.get(name)
        if bucket is None:
            if len(self._buckets) >= _REMEMBERED:
                self._buckets.clear()
            bucket = self._buckets[name] = _Bucket(most, now)
        bucket.tokens = min(most, bucket.tokens + (now - bucket.at) * rate)
        bucket.at = now
        if bucket.tokens < 1:
            raise self._too_many(f"more than {rate:g} requests a second")
        bucket.tokens -= 1

    def _too_many(self, why: str) -> faults.Fault:
        self.rejected += 1
        return faults.too_many_requests(why)
