"""What happens to tasks, from containerd's own event service.

containerd 1.6 has no CRI container events, so its `/tasks/...` topics are followed. They come straight from the
shim, often before CRI's record is up to date; a listener who reads the state at once would see the old one and
hear no second event. So an exit or an OOM kill is told only when the record shows it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from google.protobuf import empty_pb2

from boxfleet.drivers.containerd import connection
from boxfleet.drivers.containerd.wire import events_pb2, task_events_pb2
from boxfleet.kit import backoff
from boxfleet.ports import runtime

_SERVICE = "/containerd.services.events.v1.Events/"
# Where CRI keeps its containers.
_NAMESPACE = "k8s.io"
# Told to ourselves: containerd says nothing when a subscription begins, so the first greeting that arrives does.
_GREETING = "/boxfleet/listening"
_TOPICS = ("/tasks/exit", "/tasks/oom", _GREETING)

_RECONNECT = backoff.Backoff(initial=0.05, limit=1.0)
_SETTLE = backoff.Backoff(initial=0.003, limit=0.1, factor=1.5)
# After this many looks (about three seconds) it is told anyway: the listener then looks for itself.
_LOOKS = 40

Settled = Callable[[runtime.EventKind, str], Awaitable[bool]]


async def follow(connection: connection.Connection, *, settled: Settled) -> AsyncIterator[runtime.RuntimeEvent]:
    """Hints as they happen, endless; RESYNC after every connection. `settled` says if CRI's record shows one."""
    heard: asyncio.Queue[runtime.RuntimeEvent | None] = asyncio.Queue()
    listener = asyncio.create_task(_listen(connection, heard, settled), name="containerd-events")
    # It ends only with an error of ours, which must not be waited for in silence.
    listener.add_done_callback(lambda _: heard.put_nowait(None))
    try:
        while True:
            event = await heard.get()
            if event is None:
                listener.result()
                return
            yield event
    finally:
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)


async def _listen(
    connection: connection.Connection, heard: asyncio.Queue[runtime.RuntimeEvent | None], settled: Settled
) -> None:
    failures = 0
    while True:
        try:
            async with asyncio.TaskGroup() as group:
                greeter = group.create_task(_greet(connection))
                async for envelope in _subscription(connection):
                    failures = 0
                    if envelope.topic == _GREETING:
                        if not greeter.cancelled() and not greeter.cancelling():
                            greeter.cancel()
                            heard.put_nowait(runtime.RuntimeEvent(kind=runtime.EventKind.RESYNC))
                        continue
                    event = _read(envelope)
                    if event is not None:
                        group.create_task(_tell_when_settled(event, heard, settled))
                greeter.cancel()
        except* runtime.RuntimeFault:
            pass  # It is down or restarting: RESYNC after the next connection makes good for what is missed.
        failures += 1
        await asyncio.sleep(_RECONNECT.delay(failures=failures))


def _subscription(connection: connection.Connection) -> AsyncIterator[events_pb2.Envelope]:
    request = events_pb2.SubscribeRequest(filters=[f'namespace=={_NAMESPACE},topic=="{topic}"' for topic in _TOPICS])
    return connection.stream(_SERVICE + "Subscribe", request, events_pb2.Envelope, doing="follow events")


async def _greet(connection: connection.Connection) -> None:
    request = events_pb2.PublishRequest(topic=_GREETING)
    # The payload must be of a type; an empty one of ours will do.
    request.event.type_url = "containerd.events.TaskOOM"
    while True:
        await connection.call(
            _SERVICE + "Publish", request, empty_pb2.Empty, doing="greet", timeout=10, namespace=_NAMESPACE
        )
        await asyncio.sleep(0.05)


def _read(envelope: events_pb2.Envelope) -> runtime.RuntimeEvent | None:
    if envelope.topic == "/tasks/exit":
        exited = task_events_pb2.TaskExit.FromString(envelope.event.value)
        # The end of an exec is no news.
        if exited.id != exited.container_id:
            return None
        return runtime.RuntimeEvent(kind=runtime.EventKind.EXITED, container_id=exited.container_id)
    killed = task_events_pb2.TaskOOM.FromString(envelope.event.value)
    return runtime.RuntimeEvent(kind=runtime.EventKind.OOM, container_id=killed.container_id)


async def _tell_when_settled(
    event: runtime.RuntimeEvent, heard: asyncio.Queue[runtime.RuntimeEvent | None], settled: Settled
) -> None:
    for look in range(1, _LOOKS):
        if await settled(event.kind, event.container_id):
            break
        await asyncio.sleep(_SETTLE.delay(failures=look))
    heard.put_nowait(event)
