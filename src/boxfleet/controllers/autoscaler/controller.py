"""Step 1: the autoscaler controller's loop."""

from boxfleet.api import autoscaler, meta
from boxfleet.client import client, loop, shared
from boxfleet.kit import clock

_TYPE = "ScalingActive"
_MESSAGE = "this version of Boxfleet keeps HorizontalPodAutoscalers and does not scale by them: use kubectl scale"


class AutoscalerController:
    """Tells what becomes of HorizontalPodAutoscalers."""

    def __init__(self, api: client.Client, caches: shared.Caches, *, clock: clock.Clock) -> None:
        self._api = api
        self._clock = clock
        self._known = caches.of(autoscaler.HorizontalPodAutoscaler)
        self._loop: loop.Loop[meta.Key] = loop.Loop("autoscaler", self.reconcile)
        self.run = self._loop.run
        self._known.listen(self._changed)

    async def reconcile(self, key: meta.Key) -> None:
        """Say it of one."""
        subject = self._known.get(key)
        said = meta.find_condition(subject.status.conditions, _TYPE) if subject is not None else None
        if subject is None or (said is not None and said.message == _MESSAGE):
            return
        condition = meta.Condition(
            type=_TYPE,
            status="False",
            reason="NotSupported",
            message=_MESSAGE,
            lastTransitionTime=clock.stamp(self._clock.now()),
        )
        # The number of replicas must be said with it.
        status = {"desiredReplicas": 0, "conditions": [meta.to_dict(condition)]}
        change = {"metadata": {"uid": subject.metadata.uid}, "status": status}
        await self._api.patch(
            autoscaler.HorizontalPodAutoscaler, key.name, change, namespace=key.namespace, subresource="status"
        )

    def _changed(
        self, old: autoscaler.HorizontalPodAutoscaler | None, new: autoscaler.HorizontalPodAutoscaler | None
    ) -> None:
        if new is not None:
            self._loop.add(new.key)
