"""PersistentVolumeClaims on local disk: a folder on the node that first runs an instance with the claim.

A finalizer lets a claim wait until its folder is gone, so that a claim deleted while this agent was away leaves nothing
behind, and a server that lost its data takes no data with it.
"""

import asyncio
import contextlib
import pathlib
import shutil
from collections.abc import Callable

import msgspec
import structlog

from boxfleet.agent import wanted
from boxfleet.api import labels, meta, volume_claim
from boxfleet.client import cache, client, errors
from boxfleet.kit import backoff, durable, workqueue
from boxfleet.planning import pod_volumes

log = structlog.get_logger()

FINALIZER = "boxfleet.dev/volume"


class _Owner(msgspec.Struct, kw_only=True):
    """Whose folder it is, beside the folder itself."""

    namespace: str
    name: str
    uid: str


class Claims:
    """The folders of claims. `in_use` tells whether a Pod here still uses one."""

    def __init__(
        self, api: client.Client, *, root: pathlib.Path, node: str, in_use: Callable[[meta.Key], bool]
    ) -> None:
        self._api = api
        self._root = root
        self._node = node
        self._in_use = in_use
        self._queue: workqueue.WorkQueue[meta.Key] = workqueue.WorkQueue(
            backoff=backoff.Backoff(initial=0.2, limit=30.0)
        )
        self._changed: Callable[[str], None] = lambda _namespace: None
        self.cache = cache.Cache(api, volume_claim.PersistentVolumeClaim)
        self.cache.listen(self._heard)

    def listen(self, changed: Callable[[str], None]) -> None:
        """Hear of namespaces in which a claim changed."""
        self._changed = changed

    async def run(self) -> None:
        """Look after deletions until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.cache.run())
            group.create_task(self._queue.run(self._reconcile, failed=self._failed, workers=1))

    def released(self, namespace: str, names: frozenset[str]) -> None:
        """A Pod that used these claims is gone."""
        for name in names:
            self._queue.add(meta.Key(namespace, name))

    def folder(self, record: wanted.Record, name: str) -> pathlib.Path:
        """The folder of a claim that `bind` made ready; raises `pod_volumes.Missing`."""
        namespace = record.pod.metadata.namespace
        path = self._root / f"{namespace}_{name}"
        claim = record.claims.get(name)
        if claim is None:
            raise pod_volumes.Missing(f'persistentvolumeclaim "{name}" not found')
        chosen = claim.metadata.annotations.get(labels.SELECTED_NODE, self._node)
        if chosen != self._node:
            raise pod_volumes.Missing(
                f'persistentvolumeclaim "{name}" has its data on node {chosen}: the instance can only run there'
            )
        if not path.is_dir():
            raise pod_volumes.Missing(f'persistentvolumeclaim "{name}" is not bound yet')
        return path

    async def bind(self, claim: volume_claim.PersistentVolumeClaim) -> volume_claim.PersistentVolumeClaim:
        """Make the folder and say in the API that it is here; the claim as it is then. Raises ApiError."""
        info = claim.metadata
        if info.annotations.get(labels.SELECTED_NODE, self._node) != self._node or info.deletionTimestamp:
            return claim
        if labels.SELECTED_NODE not in info.annotations or FINALIZER not in info.finalizers:
            change = {
                "metadata": {
                    "resourceVersion": info.resourceVersion,
                    "annotations": {labels.SELECTED_NODE: self._node},
                    "finalizers": [*[one for one in info.finalizers if one != FINALIZER], FINALIZER],
                }
            }
            claim = await self._api.patch(
                volume_claim.PersistentVolumeClaim, info.name, change, namespace=info.namespace
            )
        await asyncio.to_thread(self._make, claim)
        wish = claim.spec.resources.requests.get("storage")
        if claim.status.phase != "Bound":
            status = {
                "phase": "Bound",
                "accessModes": claim.spec.accessModes or ["ReadWriteOnce"],
                "capacity": {"storage": str(wish)} if wish is not None else {},
            }
            claim = await self._api.patch(
                volume_claim.PersistentVolumeClaim,
                info.name,
                {"status": status},
                namespace=info.namespace,
                subresource="status",
            )
        return claim

    def _make(self, claim: volume_claim.PersistentVolumeClaim) -> None:
        info = claim.metadata
        path = self._root / f"{info.namespace}_{info.name}"
        note = self._note(path)
        owner = self._owner(note)
        if path.exists() and owner is not None and owner.uid != info.uid:
            # Data of a claim that is no more is never shown to its successor, and never thrown away unasked.
            aside = path.with_name(f".{path.name}-{owner.uid}")
            log.warning("set aside the data of a claim that the server does not know", path=str(aside))
            path.rename(aside)
        if not path.exists():
            path.mkdir(parents=True)
            path.chmod(0o777)
        if owner is None or owner.uid != info.uid:
            mine = _Owner(namespace=info.namespace, name=info.name, uid=info.uid)
            durable.write(note, msgspec.json.encode(mine), mode=0o600)

    def _note(self, path: pathlib.Path) -> pathlib.Path:
        # No folder is named so: a second underscore is in no name of a claim or namespace.
        return path.with_name(f"{path.name}_owner.json")

    def _owner(self, note: pathlib.Path) -> _Owner | None:
        with contextlib.suppress(OSError, msgspec.DecodeError):
            return msgspec.json.decode(note.read_bytes(), type=_Owner)
        return None

    def _heard(
        self, old: volume_claim.PersistentVolumeClaim | None, new: volume_claim.PersistentVolumeClaim | None
    ) -> None:
        item = new or old
        if item is not None:
            self._queue.add(item.key)
            self._changed(item.metadata.namespace)

    async def _reconcile(self, key: meta.Key) -> float | None:
        claim = self.cache.get(key)
        if claim is None or not claim.metadata.deletionTimestamp or FINALIZER not in claim.metadata.finalizers:
            return None
        if claim.metadata.annotations.get(labels.SELECTED_NODE) != self._node:
            return None
        if self._in_use(key):
            # The end of the Pod calls again; this is the safety net.
            return 30.0
        path = self._root / f"{key.namespace}_{key.name}"
        owner = self._owner(self._note(path))
        if owner is None or owner.uid == claim.metadata.uid:
            await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
            self._note(path).unlink(missing_ok=True)
        change = {
            "metadata": {
                "resourceVersion": claim.metadata.resourceVersion,
                "finalizers": [one for one in claim.metadata.finalizers if one != FINALIZER],
            }
        }
        with contextlib.suppress(errors.NotFound):
            await self._api.patch(volume_claim.PersistentVolumeClaim, key.name, change, namespace=key.namespace)
        return None

    def _failed(self, key: meta.Key, error: Exception) -> None:
        if not isinstance(error, errors.Unavailable | errors.Conflict):
            log.warning("cannot remove the folder of a claim", claim=str(key), cause=str(error))
