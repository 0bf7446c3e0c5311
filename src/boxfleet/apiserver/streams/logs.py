"""pods/log: a container's log as plain text, as the agent of its node reads it."""

import asyncio
import datetime
from typing import Final

from boxfleet.api import kind, pod, tunnel
from boxfleet.apiserver import faults, route
from boxfleet.apiserver.streams import agents, streams, target
from boxfleet.kit import clock

# Kubernetes' words for what a waiting container waits for.
_WAITS: Final = {
    "ErrImagePull": "image can't be pulled",
    "ImagePullBackOff": "trying and failing to pull image",
}


class Logs:
    """Handler of pods/log."""

    def __init__(self, connected: agents.Agents, find_pod: target.FindPod, time: clock.Clock) -> None:
        self._agents = connected
        self._find_pod = find_pod
        self._time = time

    async def log(self, call: route.Call) -> route.Answer | None:
        """GET on pods/log."""
        found = await self._find_pod(call.params["namespace"], call.params["name"])
        order = self._order(call, found)
        if not found.spec.nodeName:
            return route.Answer(status=204, content_type="text/plain")
        try:
            async with self._agents.open(found.spec.nodeName, order) as stream:
                await _relay(call, stream)
        except faults.Fault as fault:
            if fault.reason != "ContainerNotStarted":
                raise
            raise _waiting(found, order.container) from fault
        return None

    def _order(self, call: route.Call, found: pod.Pod) -> tunnel.LogOrder:
        errors: list[kind.FieldError] = []
        tail = _number(call, "tailLines", least=0, errors=errors)
        limit = _number(call, "limitBytes", least=1, errors=errors)
        seconds = _number(call, "sinceSeconds", least=1, errors=errors)
        since = _moment(call)
        if since and seconds >= 0:
            errors.append(
                kind.FieldError(
                    "", "at most one of `sinceTime` or `sinceSeconds` may be specified", kind.Reason.FORBIDDEN
                )
            )
        if errors:
            raise faults.invalid(pod.Pod.KIND, call.params["name"], errors)
        if seconds >= 0:
            since = self._time.now().timestamp() - seconds
        container = target.container(found, call.one("container"))
        status = found.status.find_container(container)
        return tunnel.LogOrder(
            namespace=call.params["namespace"],
            pod=found.metadata.name,
            uid=found.metadata.uid,
            container=container,
            follow=target.flag(call, "follow"),
            previous=target.flag(call, "previous"),
            waiting=status is not None and status.state.waiting is not None,
            timestamps=target.flag(call, "timestamps"),
            since=since,
            tail=tail,
            limit=limit,
        )


def _number(call: route.Call, name: str, *, least: int, errors: list[kind.FieldError]) -> int:
    """A number of the query, -1 when it is not there; raises Fault 400 on what is none."""
    text = call.one(name)
    if not text:
        return -1
    try:
        number = int(text)
    except ValueError:
        raise faults.bad_request(f"invalid query parameter {name}: {text!r} is not a whole number") from None
    if number < least:
        errors.append(kind.FieldError(name, f"Invalid value: {number}: must be greater than or equal to {least}"))
    return number


def _moment(call: route.Call) -> float:
    """sinceTime in seconds since the epoch, 0 when it is not there; raises Fault 400 on what is no time."""
    text = call.one("sinceTime")
    if not text:
        return 0.0
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise faults.bad_request(f"invalid query parameter sinceTime: {text!r} is not an RFC 3339 time") from None
    return moment.replace(tzinfo=moment.tzinfo or datetime.UTC).timestamp()


def _waiting(found: pod.Pod, container: str) -> faults.Fault:
    status = found.status.find_container(container)
    reason = status.state.waiting.reason if status is not None and status.state.waiting is not None else ""
    why = _WAITS.get(reason, reason or "ContainerCreating")
    return faults.bad_request(f'container "{container}" in pod "{found.metadata.name}" is waiting to start: {why}')


async def _relay(call: route.Call, stream: streams.Stream) -> None:
    """Send the log until it ends or the user leaves."""
    sending = asyncio.create_task(_send(call, stream))
    leaving = asyncio.create_task(_left(call))
    try:
        await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            sending.result()
    finally:
        sending.cancel()
        leaving.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)


async def _send(call: route.Call, stream: streams.Stream) -> None:
    headers = [(b"content-type", b"text/plain"), (b"cache-control", b"no-cache, private")]
    headers.append((b"audit-id", call.audit_id.encode()))
    await call.send({"type": "http.response.start", "status": 200, "headers": headers})
    # The headers go out now, also when no line comes for long.
    await call.send({"type": "http.response.body", "body": b"", "more_body": True})
    while True:
        try:
            channel, data = await stream.receive()
        except streams.Ended as ended:
            # A log that broke off must not look complete: then the answer is never finished.
            if ended.status is not None and b'"Success"' in ended.status:
                await call.send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        if channel == tunnel.Channel.STDOUT and data:
            await call.send({"type": "http.response.body", "body": data, "more_body": True})


async def _left(call: route.Call) -> None:
    while (await call.receive())["type"] != "http.disconnect":
        pass
