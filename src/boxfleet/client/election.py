"""Of several servers one does a work: whoever holds a Lease, as Kubernetes' own controllers elect theirs.

No clock of another machine is believed: a Lease has expired when this process has seen it unchanged for long enough
(`client-go/tools/leaderelection` has the same rule). The holder gives up before anybody else can think so.
"""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

import structlog

from boxfleet.api import lease
from boxfleet.client import client, errors
from boxfleet.kit import clock as clocks

log = structlog.get_logger()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How fast another takes over, against how much is written to stay in office."""

    # Seconds without a sign of life after which another may take over: a crash costs at most this and one `retry`.
    duration: float = 6.0
    # Seconds without a renewal after which the holder stops its work: well before anybody takes over.
    deadline: float = 4.0
    # Seconds between renewals, and between looks by those who wait. One that ends in order is followed after this.
    retry: float = 1.5


class Election:
    """One candidate."""

    def __init__(
        self,
        api: client.Client,
        *,
        name: str,
        namespace: str,
        identity: str,
        clock: clocks.Clock,
        settings: Settings = Settings(),
    ) -> None:
        self._api = api
        self._name = name
        self._namespace = namespace
        self.identity = identity
        self._clock = clock
        self._settings = settings
        # The Lease as it was last seen, and when it was first seen so.
        self._seen: tuple[str, float] = ("", 0.0)
        self.leading = False

    async def lead(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do the work whenever elected, until cancelled; raises what it raises. Without the Lease it is cancelled."""
        while True:
            while not await self._elected():
                await self._clock.sleep(self._settings.retry)
            log.info("leading", lease=self._name, identity=self.identity)
            self.leading = True
            try:
                await self._hold(work)
            finally:
                self.leading = False
                await self._release()
            log.warning("no longer leading", lease=self._name, identity=self.identity)

    async def _hold(self, work: Callable[[], Awaitable[None]]) -> None:
        working = asyncio.ensure_future(work())
        renewing = asyncio.create_task(self._renew())
        try:
            await asyncio.wait((working, renewing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (working, renewing):
                task.cancel()
            await asyncio.wait((working, renewing))
        for task in (working, renewing):
            if not task.cancelled():
                task.result()

    async def _renew(self) -> None:
        """Return when the Lease is lost, or might be."""
        renewed = self._clock.monotonic()
        while True:
            await self._clock.sleep(self._settings.retry)
            began = self._clock.monotonic()
            left = renewed + self._settings.deadline - began
            if left <= 0:
                return
            try:
                async with asyncio.timeout(left):
                    # Somebody may have written beside us, a label say, without taking the Lease.
                    if not await self._attempt() and not await self._attempt():
                        return
            except TimeoutError:
                return
            except errors.ApiError as error:
                log.warning("cannot renew the lease", lease=self._name, cause=error.message)
            else:
                renewed = began

    async def _attempt(self) -> bool:
        """Take or renew the Lease if that is allowed; whether it is held now."""
        found = await self._api.find(lease.Lease, self._name, namespace=self._namespace)
        if found is None:
            return await self._create()
        spec = found.spec
        seen = f"{found.metadata.uid} {found.metadata.resourceVersion}"
        now = self._clock.monotonic()
        if seen != self._seen[0]:
            self._seen = (seen, now)
        if spec.holderIdentity == self.identity:
            return await self._write(found, {})
        if spec.holderIdentity and now - self._seen[1] < self._settings.duration:
            return False
        return await self._write(
            found, {"acquireTime": self._stamp(), "leaseTransitions": (spec.leaseTransitions or 0) + 1}
        )

    async def _elected(self) -> bool:
        """Try, as one who can wait."""
        try:
            return await self._attempt()
        except errors.ApiError as error:
            log.info("cannot look at the lease", lease=self._name, cause=error.message)
            return False

    async def _create(self) -> bool:
        body = {
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": self._spec() | {"acquireTime": self._stamp(), "leaseTransitions": 0},
        }
        try:
            await self._api.create_raw(lease.Lease, body)
        except errors.AlreadyExists:
            return False
        return True

    async def _write(self, found: lease.Lease, more: dict[str, object]) -> bool:
        """Unless somebody else was quicker."""
        patch = {"metadata": {"resourceVersion": found.metadata.resourceVersion}, "spec": self._spec() | more}
        try:
            await self._api.patch(lease.Lease, self._name, patch, namespace=self._namespace)
        except (errors.Conflict, errors.NotFound):
            return False
        return True

    async def _release(self) -> None:
        """Let another begin at once, if the Lease is still ours and the server answers soon."""
        try:
            async with asyncio.timeout(self._settings.retry):
                found = await self._api.find(lease.Lease, self._name, namespace=self._namespace)
                if found is not None and found.spec.holderIdentity == self.identity:
                    patch = {
                        "metadata": {"resourceVersion": found.metadata.resourceVersion},
                        "spec": {"holderIdentity": "", "leaseDurationSeconds": 1},
                    }
                    await self._api.patch(lease.Lease, self._name, patch, namespace=self._namespace)
        except (errors.ApiError, TimeoutError):
            log.info("the lease was not given back: it expires", lease=self._name)

    def _spec(self) -> dict[str, object]:
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, int(self._settings.duration)),
            "renewTime": self._stamp(),
        }

    def _stamp(self) -> str:
        return clocks.micro_stamp(self._clock.now())
