"""Images for containers: found, or pulled in the background with back-off."""

import asyncio
import contextlib
from collections.abc import Callable

import msgspec

from boxfleet.api import pod as pods
from boxfleet.kit import backoff
from boxfleet.kit import clock as clocks
from boxfleet.planning import pod_actions, pull_secrets, pull_words
from boxfleet.ports import runtime

# Kubernetes' own: 10 s doubling to five minutes.
_BACKOFF = backoff.Backoff(initial=10.0, limit=300.0)
# Seconds after which an old failure is forgotten if nobody asked again: twice the limit, as in Kubernetes.
_MEMORY = 600.0
# Seconds between two looks for an image that only somebody here can bring.
_LOCAL_LOOK = 2.0
# Seconds that an image which was found is not looked for again.
_MOMENT = 0.5


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """An image that can be used now."""

    image: runtime.Image
    # What to tell people.
    message: str


class _Trouble(msgspec.Struct, kw_only=True):
    failures: int
    until: float
    message: str


_NO_KEYS = pull_secrets.Keys()
# An image, and what its registry is shown for it.
_Wish = tuple[str, pull_secrets.Keys]


class Pulls:
    """One pull at a time for each image, a few at a time for all."""

    def __init__(self, images: runtime.Images, *, clock: clocks.Clock, at_once: int, local: str = "") -> None:
        # Names that no registry has: what is here of them is all there is.
        self._local = local
        self._images = images
        self._clock = clock
        # What was found last, and until when that is good.
        self._seen: dict[str, tuple[runtime.Image, float]] = {}
        self._slots = asyncio.Semaphore(at_once)
        self._running: dict[_Wish, asyncio.Task[None]] = {}
        # Starts that wait for a pull, and how they are told.
        self._waiters: dict[_Wish, dict[str, Callable[[], None]]] = {}
        self._trouble: dict[_Wish, _Trouble] = {}
        # (image, start) pairs whose "Always" pull is done for the start at hand.
        self._fresh: set[tuple[str, str]] = set()
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Be able to pull until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            await asyncio.Event().wait()

    async def ensure(
        self, container: pods.Container, *, start: str, done: Callable[[], None], keys: pull_secrets.Keys = _NO_KEYS
    ) -> Found | pod_actions.Hold:
        """The image of a container, or why it is not there yet; `done` is called when it is worth asking again.

        `start` names one start of one container: with the policy Always each start pulls once. `keys` are for
        the registry; with other keys a failed pull is tried again at once.
        """
        reference = container.image
        if not reference:
            return pod_actions.Hold(
                until=float("inf"), reason="InvalidImageName", message="the container names no image"
            )
        policy = container.imagePullPolicy or default_policy(reference)
        image = await self._find(reference)
        is_local = bool(self._local) and reference.startswith(self._local)
        if image is not None and (policy != "Always" or is_local or (reference, start) in self._fresh):
            self._fresh.discard((reference, start))
            return Found(image=image, message=f'Container image "{reference}" is present on this node')
        if policy == "Never":
            return pod_actions.Hold(
                until=self._now() + _LOCAL_LOOK,
                reason="ErrImageNeverPull",
                message=f'Container image "{reference}" is not present with pull policy of Never',
            )
        if is_local:
            return pod_actions.Hold(
                until=self._now() + _LOCAL_LOOK,
                reason="ErrImageNeverPull",
                message=f'Container image "{reference}" is not on this node, and no registry has images of that name',
            )
        wish = (reference, keys)
        trouble = self._trouble.get(wish)
        if trouble is not None and pull_words.is_misnamed(trouble.message):
            return pod_actions.Hold(until=float("inf"), reason="InvalidImageName", message=trouble.message)
        if trouble is not None and self._now() < trouble.until:
            first = trouble.failures == 1 and trouble.until - self._now() > _BACKOFF.initial - 1.0
            return pod_actions.Hold(
                until=trouble.until if not first else min(trouble.until, self._now() + 1.5),
                reason="ErrImagePull" if first else "ImagePullBackOff",
                message=trouble.message if first else f'Back-off pulling image "{reference}": {trouble.message}',
            )
        self._begin(wish, start, done)
        return pod_actions.Hold(until=float("inf"), reason="ContainerCreating", message=f'Pulling image "{reference}"')

    async def _find(self, reference: str) -> runtime.Image | None:
        """The image; one that was there a moment ago, when others of a Unit began, is taken to be there still."""
        seen = self._seen.get(reference)
        now = self._clock.monotonic()
        if seen is not None and now < seen[1]:
            return seen[0]
        image = await self._images.find(reference)
        self._seen = {known: one for known, one in self._seen.items() if now < one[1]}
        if image is not None:
            self._seen[reference] = (image, now + _MOMENT)
        return image

    def _begin(self, wish: _Wish, start: str, done: Callable[[], None]) -> None:
        self._waiters.setdefault(wish, {})[start] = done
        if wish not in self._running and self._group is not None:
            self._running[wish] = self._group.create_task(self._pull(wish))

    async def _pull(self, wish: _Wish) -> None:
        try:
            async with self._slots:
                await self._fetch(*wish)
            self._trouble.pop(wish, None)
            self._seen.pop(wish[0], None)
            # Only now: a pull that failed must not let an older image pass for what the registry has.
            self._fresh |= {(wish[0], start) for start in self._waiters[wish]}
        except runtime.RuntimeFault as error:
            self._fail(wish, str(error))
        finally:
            del self._running[wish]
            for done in self._waiters.pop(wish).values():
                done()

    async def _fetch(self, reference: str, keys: pull_secrets.Keys) -> None:
        """Pull with the first credential that does; without any if there is none."""
        *firsts, last = keys.credentials or (None,)
        for credential in firsts:
            with contextlib.suppress(runtime.RuntimeFault):
                return await self._fetch_as(reference, credential)
        return await self._fetch_as(reference, last)

    async def _fetch_as(self, reference: str, credential: pull_secrets.Credential | None) -> None:
        if credential is None:
            await self._images.pull(reference)
        else:
            await self._images.pull(reference, username=credential.username, password=credential.password)

    def _fail(self, wish: _Wish, cause: str) -> None:
        now = self._now()
        for old in [key for key, one in self._trouble.items() if one.until + _MEMORY < now]:
            del self._trouble[old]
        before = self._trouble.get(wish)
        failures = (before.failures if before is not None else 0) + 1
        until = now + _BACKOFF.delay(failures=failures)
        message = pull_words.explain(wish[0], cause, wish[1])
        self._trouble[wish] = _Trouble(failures=failures, until=until, message=message)

    def _now(self) -> float:
        return self._clock.now().timestamp()


def default_policy(reference: str) -> str:
    """Always for the tag latest or none, else IfNotPresent (Kubernetes: "Imagepullpolicy defaulting")."""
    name = reference.rpartition("/")[2]
    if "@" in name:
        return "IfNotPresent"
    tag = name.partition(":")[2]
    return "Always" if tag in ("", "latest") else "IfNotPresent"
