"""The tokens of one Pod: asked for beside everything else of its start, and again in time.

They are kept in the Pod's volumes alone, in memory: there an agent that was started anew finds them.
"""

import asyncio
from collections.abc import Callable

import structlog

from boxfleet.agent.volumes import manager
from boxfleet.api import pod as pods
from boxfleet.client import client, errors
from boxfleet.kit import clock as clocks
from boxfleet.planning import pod_tokens

log = structlog.get_logger()

# Seconds until a token is asked for again that could not be had.
_RETRY = 5.0


class PodTokens:
    """What the volumes of a Pod hold for it, for as long as its worker runs."""

    def __init__(
        self,
        api: client.Client,
        volumes: manager.Volumes,
        pod: pods.Pod,
        *,
        clock: clocks.Clock,
        changed: Callable[[], None],
    ) -> None:
        self._api = api
        self._clock = clock
        self._changed = changed
        self._pod = pod
        self._wishes = pod_tokens.wishes(pod.spec)
        self._folder = volumes.folder(pod.metadata.uid)
        self._asking: asyncio.Task[None] | None = None
        # When to ask again after a failure.
        self._again = 0.0
        self.known: dict[pod_tokens.Wish, pod_tokens.Token] = {}
        # Why a token is missing, as far as that is known; empty when none is.
        self.fault: errors.ApiError | None = None
        # Whether there are some that the volumes do not hold yet.
        self.fresh = False
        self._recalled = not self._wishes

    @property
    def due(self) -> float:
        """When there is something to do again (seconds since 1970); infinity for a Pod without tokens."""
        moments = [self.known[one].renewal if one in self.known else 0.0 for one in self._wishes]
        return max(min(moments, default=float("inf")), self._again)

    @property
    def missing(self) -> bool:
        """Whether a token is not there at all."""
        return any(one not in self.known for one in self._wishes)

    def begin(self, group: asyncio.TaskGroup) -> None:
        """Ask for what is due, beside whatever else is done; `changed` is called when it is there."""
        idle = self._asking is None or self._asking.done()
        if idle and self._wishes and (not self._recalled or self.due <= self._now()):
            self._asking = group.create_task(self._ask(), name=f"tokens of {self._pod.key}")

    async def ready(self) -> None:
        """Wait for the answer to what was begun."""
        if self._asking is not None:
            await asyncio.wait([self._asking])

    async def _ask(self) -> None:
        if not self._recalled:
            # A few small files in memory: shorter than the way to a thread and back.
            self._recall()
            self._recalled = True
        now = self._now()
        try:
            for one in self._wishes:
                held = self.known.get(one)
                if held is None or held.renewal <= now:
                    self.known[one] = await self._request(one)
                    self.fresh = True
        except errors.ApiError as error:
            if self.fault is None or self.fault.message != error.message:
                log.info("cannot get a token for a pod", pod=str(self._pod.key), cause=error.message)
            self.fault = error
            self._again = now + _RETRY
        else:
            self.fault = None
            self._again = 0.0
        self._changed()

    async def _request(self, one: pod_tokens.Wish) -> pod_tokens.Token:
        """A new token, bound to the Pod; raises ApiError."""
        info = self._pod.metadata
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [one.audience] if one.audience else [],
                "expirationSeconds": one.seconds,
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": info.name, "uid": info.uid},
            },
        }
        account = self._pod.spec.serviceAccountName or "default"
        issued = self._now()
        answer = await self._api.call(
            "POST", f"/api/v1/namespaces/{info.namespace}/serviceaccounts/{account}/token", body=body
        )
        status = answer["status"]
        expires = clocks.parse(status["expirationTimestamp"]).timestamp()
        return pod_tokens.Token(text=status["token"], issued=issued, expires=expires)

    def _recall(self) -> None:
        """What an agent before this one has put into the volumes."""
        for one, (volume, path) in self._wishes.items():
            try:
                text = (self._folder.volume(volume) / path).read_text()
            except (OSError, UnicodeDecodeError):
                continue
            found = pod_tokens.read(text)
            if found is not None:
                self.known[one] = found

    def _now(self) -> float:
        return self._clock.now().timestamp()
