"""One gRPC connection to containerd's Unix socket, and its errors in the port's words."""

import asyncio
import pathlib
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf import message

from boxfleet.ports import runtime

Answer = TypeVar("Answer", bound=message.Message)

# Seconds that ended calls get to be over.
_FAREWELL = 1.0
_OPTIONS = [
    # The socket's path is no host name that a server would accept as authority.
    ("grpc.default_authority", "localhost"),
    ("grpc.enable_http_proxy", 0),
    # A restarted containerd is noticed at once: it is on this machine.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 300),
    # Lists of many containers are long; containerd's own limit is the same.
    ("grpc.max_receive_message_length", 16 * 2**20),
    # Two connections to one socket must not share a back-off.
    ("grpc.use_local_subchannel_pool", 1),
]


class Overdue(runtime.Unavailable):
    """No answer came within the time allowed."""


class Connection:
    """Calls to containerd. Used from one event loop; `close` it there."""

    def __init__(self, socket: pathlib.Path) -> None:
        self._socket = socket
        self._channel: Any = None
        self._calls: dict[str, Any] = {}

    async def call(
        self,
        method: str,
        request: message.Message,
        answer: type[Answer],
        *,
        doing: str,
        timeout: float,
        namespace: str | None = None,
    ) -> Answer:
        """Ask and wait for the answer.

        `method` is the wire's path such as /runtime.v1.RuntimeService/Version, `doing` completes "cannot ..." in
        messages, `timeout` in seconds; `namespace` is containerd's own, for calls beside CRI. Raises RuntimeFaults,
        Overdue after the timeout.
        """
        stub = self._calls.get(method)
        if stub is None:
            stub = self._open().unary_unary(method, request_serializer=_bytes, response_deserializer=answer.FromString)
            self._calls[method] = stub
        try:
            metadata = (("containerd-namespace", namespace),) if namespace else None
            result: Answer = await stub(request, timeout=timeout, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise _fault(error, doing) from None
        return result

    async def stream(
        self, method: str, request: message.Message, answer: type[Answer], *, doing: str
    ) -> AsyncIterator[Answer]:
        """Ask once and yield answers until the server ends; raises like `call`."""
        stub = self._open().unary_stream(method, request_serializer=_bytes, response_deserializer=answer.FromString)
        call = stub(request)
        try:
            async for one in call:
                yield one
        except grpc.aio.AioRpcError as error:
            raise _fault(error, doing) from None
        finally:
            call.cancel()

    async def close(self) -> None:
        """Let go of the socket; a later call opens it again."""
        if self._channel is not None:
            channel, self._channel = self._channel, None
            self._calls.clear()
            await channel.close()
            # gRPC has a task for each call, which ends a moment after a call that was cancelled.
            calls = {task for task in asyncio.all_tasks() if "_AioCall" in getattr(task.get_coro(), "__qualname__", "")}
            if calls:
                await asyncio.wait(calls, timeout=_FAREWELL)

    def _open(self) -> Any:
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(f"unix:{self._socket}", options=_OPTIONS)
        return self._channel


def _bytes(request: message.Message) -> bytes:
    return request.SerializeToString()


def _fault(error: Any, doing: str) -> runtime.RuntimeFault:
    code, text = error.code(), f"cannot {doing}: {error.details()}"
    if code is grpc.StatusCode.NOT_FOUND:
        return runtime.NotFound(text)
    if code is grpc.StatusCode.UNAVAILABLE:
        return runtime.Unavailable(text)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Overdue(text)
    return runtime.RuntimeFault(text)
