"""Reports what became of Pods to the API: only changes, newest first, again after failures."""

from typing import Any

import msgspec
import structlog

from boxfleet.api import pod as pods
from boxfleet.client import client, errors
from boxfleet.kit import backoff, workqueue
from boxfleet.planning import pod_status

log = structlog.get_logger()


# Seconds that a passing state may wait: most starts are over by then, also when many start at once, and cost the API
# one write instead of three. What a Pod is stuck in is told at once.
_MOMENT = 3.0


class Report(msgspec.Struct, kw_only=True):
    """What the API shall show of one Pod."""

    pod: pods.Pod
    status: pods.PodStatus


class Reporter:
    """One report per Pod at a time; a newer one takes the place of one that waits."""

    def __init__(self, api: client.Client) -> None:
        self._api = api
        self._reports: dict[str, Report] = {}
        self._sent: dict[str, bytes] = {}
        self._queue: workqueue.WorkQueue[str] = workqueue.WorkQueue(backoff=backoff.Backoff(initial=0.05, limit=5.0))

    async def run(self) -> None:
        """Report until cancelled."""
        await self._queue.run(self._send, failed=self._failed, workers=4)

    def report(self, pod: pods.Pod, status: pods.PodStatus, *, urgent: bool) -> None:
        """Let the API show that status, if it does not yet; what is about to change anyway may wait a moment."""
        uid = pod.metadata.uid
        self._reports[uid] = Report(pod=pod, status=status)
        # After a restart of the agent it is sent once more: what the API shows may be older than what we remember.
        if self._sent.get(uid) != _essence(status):
            self._queue.add_after(uid, 0.0 if urgent else _MOMENT)

    def again(self) -> None:
        """Tell all once more: the API may have said something else while nothing was heard of us."""
        self._sent.clear()
        for uid in self._reports:
            self._queue.add(uid)

    async def flush(self, uid: str) -> None:
        """Report now; raises ApiError."""
        await self._send(uid)

    def forget(self, uid: str) -> None:
        """The Pod is gone."""
        self._reports.pop(uid, None)
        self._sent.pop(uid, None)
        self._queue.forget(uid)

    async def _send(self, uid: str) -> None:
        report = self._reports.get(uid)
        if report is None:
            return
        essence = _essence(report.status)
        if self._sent.get(uid) == essence:
            return
        try:
            await self._patch(report)
        except errors.NotFound:
            # Deleted without us; the watch will tell.
            pass
        except errors.Conflict:
            current = await self._api.find(pods.Pod, report.pod.metadata.name, namespace=report.pod.metadata.namespace)
            if current is not None and current.metadata.uid == uid:
                report.pod = current
                raise
        if uid in self._reports:
            self._sent[uid] = essence

    async def _patch(self, report: Report) -> None:
        meta = report.pod.metadata
        guard: dict[str, Any] = {"uid": meta.uid}
        others = pod_status.foreign(report.pod.status.conditions)
        if others or report.pod.spec.readinessGates:
            # The list of conditions is written whole: nobody's entry may be lost between our read and our write.
            guard["resourceVersion"] = meta.resourceVersion
        status = msgspec.structs.replace(report.status, conditions=[*others, *_own(report.status)])
        patch = {"metadata": guard, "status": as_patch(status)}
        await self._api.patch(pods.Pod, meta.name, patch, namespace=meta.namespace, subresource="status")

    def _failed(self, uid: str, error: Exception) -> None:
        if not isinstance(error, errors.Unavailable | errors.Conflict):
            log.warning("cannot report the status of a pod", uid=uid, cause=str(error))


def as_patch(status: pods.PodStatus) -> dict[str, Any]:
    """A status as merge patch: lists whole, nothing left over from before."""
    plain: dict[str, Any] = _without_null(msgspec.to_builtins(status))
    # An entry of somebody else may lack a time, and an empty one is none.
    conditions = plain.get("conditions", [])
    plain["conditions"] = [{key: value for key, value in one.items() if value != ""} for one in conditions]
    for name in ("reason", "message"):
        plain.setdefault(name, None)
    plain.setdefault("containerStatuses", [])
    return plain


def _own(status: pods.PodStatus) -> list[Any]:
    return [one for one in status.conditions if one.type in pod_status.OWN_CONDITIONS]


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_null(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_null(item) for item in value]
    return value


def _essence(status: pods.PodStatus) -> bytes:
    """What makes a status worth a write: all that we own in it."""
    own = msgspec.structs.replace(
        status, conditions=sorted(_own(status), key=lambda one: str(one.type)), qosClass="", podIPs=[]
    )
    return msgspec.json.encode(own)
