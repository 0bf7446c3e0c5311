"""Step 4: shares handed to the cluster."""

from boxfleet.api import labels, meta, placement, pod
from boxfleet.client import client, errors
from boxfleet.client import events as recorders
from boxfleet.controllers.cluster import orders, part
from boxfleet.kit import clock
from boxfleet.planning import shares
from boxfleet.ports import cluster as ports

# Seconds after which a share is looked at again although nothing was heard: what its Pods refer to may have changed,
# and others may have changed what was made there.
_AGAIN = 60.0
# Seconds after which what the cluster refused is tried again.
_REFUSED = 15.0
# Seconds for the Unit controller to make a Pod anew whose instance still runs.
_UNKNOWN = 1.0
# So many looks find the Pod missing before its instance goes with it.
_PATIENCE = 30


class Deliver:
    """Brings one cluster's native objects to what the shares say."""

    def __init__(
        self,
        api: client.Client,
        mine: part.Part,
        driver: ports.Cluster,
        *,
        events: recorders.Recorder,
        clock: clock.Clock,
    ) -> None:
        self._api = api
        self._part = mine
        self._driver = driver
        self._events = events
        self._clock = clock
        self._orders = orders.Orders(api)
        self._looks: dict[meta.Key, int] = {}
        # What was last said of Pods that were refused, by uid.
        self._refused: dict[str, str] = {}

    async def reconcile(self, key: meta.Key) -> float | None:
        """Deliver one Unit's share; gives seconds until the next look. Raises ApiError and ClusterFault."""
        share = self._part.share(key)
        if share is None:
            self._looks.pop(key, None)
            if self._driver.synced and self._driver.instances(key):
                # Left behind by a Cluster that was released: no Placement means them, and nobody would ever end them.
                # Their data stays: it may be what an older backup of our store does not know.
                nothing = ports.Share(namespace=key.namespace, unit=key.name, box="", ordinals=(), orders={})
                await self._driver.deliver(nothing)
            return None
        if not self._driver.synced:
            # What runs there is not known: the first view leads here again.
            return None
        if share.metadata.deletionTimestamp:
            return await self._withdraw(share)
        running = {each.name for each in self._driver.instances(key)}
        wanted = shares.sort(share, self._part.pods(key), running=running)
        if wanted.unknown:
            self._looks[key] = self._looks.get(key, 0) + 1
            if self._looks[key] <= _PATIENCE:
                return _UNKNOWN
        else:
            self._looks.pop(key, None)
        try:
            await self._driver.deliver(await self._orders.share(share, wanted))
        except (ports.Unreachable, ports.Denied):
            raise
        except ports.ClusterFault as fault:
            await self._say_refused(list(wanted.orders.values()), fault)
            return _REFUSED
        for each in wanted.orders.values():
            self._refused.pop(each.metadata.uid, None)
        return _AGAIN

    def forget(self, uid: str) -> None:
        """A Pod is gone."""
        self._orders.forget(uid)
        self._refused.pop(uid, None)

    async def _withdraw(self, share: placement.Placement) -> float | None:
        key = part.unit_key(share)
        pods = self._part.pods(key)
        if labels.CLUSTER_FINALIZER not in share.metadata.finalizers:
            return None
        grace = shares.sort(share, pods, running=()).grace
        empty = ports.Share(namespace=key.namespace, unit=key.name, box="", ordinals=(), orders={}, grace=grace)
        await self._driver.deliver(empty)
        if self._driver.instances(key):
            # The view tells when the last one is gone.
            return _AGAIN
        await self._driver.withdraw(key)
        kept = [each for each in share.metadata.finalizers if each != labels.CLUSTER_FINALIZER]
        change = {"metadata": {"resourceVersion": share.metadata.resourceVersion, "finalizers": kept}}
        try:
            await self._api.patch(placement.Placement, share.metadata.name, change, namespace=key.namespace)
        except errors.NotFound:
            return None
        return None

    async def _say_refused(self, wanted: list[pod.Pod], fault: ports.ClusterFault) -> None:
        """Let every Pod that waits tell why; again only when the reason is another one."""
        said = f"{type(fault).__name__}: {fault}"
        now = clock.stamp(self._clock.now())
        for each in wanted:
            if each.spec.nodeName or self._refused.get(each.metadata.uid) == said:
                continue
            condition = meta.Condition(
                type="PodScheduled",
                status="False",
                reason="Unschedulable",
                message=f"Cluster {self._part.cluster} cannot take it: {fault}",
                lastTransitionTime=now,
            )
            self._events.warning(each, "FailedDelivery", condition.message)
            try:
                await self._api.put_condition(each, condition)
            except errors.NotFound:
                continue
            self._refused[each.metadata.uid] = said
