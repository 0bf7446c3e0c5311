"""What server and agent say to each other about streams, over connections that the agent dials.

Control connection, WebSocket text: the server sends `Open`, `Cancel` and `Pong`, the agent `Ping`. For every `Open`
the agent dials a data connection of that stream's id. Data connection, WebSocket binary: the first byte of a message
is a `Channel`, the rest its data, with the meaning that Kubernetes' `v5.channel.k8s.io` gives them. The agent's first
message is an empty STDOUT one, which says that it took the order; its last is an ERROR one with a Status.
"""

import enum
from typing import Any, Final

import msgspec

GROUP: Final = "tunnel.boxfleet.dev"
# How often the agent sends Ping, and after how much silence either side gives a control connection up (seconds).
PING_SECONDS: Final = 25.0
SILENCE_SECONDS: Final = 65.0
# A data message carries at most this many bytes by intent; receivers refuse messages of more than the second.
CHUNK: Final = 64 * 1024
MAX_MESSAGE: Final = 4 * 1024 * 1024


class Channel(enum.IntEnum):
    """The first byte of a message. RESIZE carries ``{"Width":80,"Height":24}``, CLOSE the number of a channel."""

    STDIN = 0
    STDOUT = 1
    STDERR = 2
    ERROR = 3
    RESIZE = 4
    CLOSE = 255


class _Order(msgspec.Struct, kw_only=True, tag_field="kind", omit_defaults=True):
    """Which instance a stream is for; `container` is empty for port-forward."""

    namespace: str
    pod: str
    uid: str
    container: str = ""


class ExecOrder(_Order, kw_only=True, tag="exec"):
    """Run a command in a running container."""

    command: list[str]
    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    tty: bool = False


class AttachOrder(_Order, kw_only=True, tag="attach"):
    """Join the streams of a container's main process."""

    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    tty: bool = False


class LogOrder(_Order, kw_only=True, tag="log"):
    """Read a container's log: on STDOUT, as text with the lines' times in front if asked for.

    `since` is in seconds since the epoch; `tail` counts lines, -1 for all; `limit` counts bytes, -1 for all.
    `waiting` says that the Pod's status shows the container waiting, so that its last run counts as the previous one.
    """

    follow: bool = False
    previous: bool = False
    waiting: bool = False
    timestamps: bool = False
    since: float = 0.0
    tail: int = -1
    limit: int = -1


class ForwardOrder(_Order, kw_only=True, tag="forward"):
    """Connect to a TCP port inside the instance: STDIN to it, STDOUT from it."""

    port: int
    # It has no address of its own: the port is one of the host's. Of any other instance that must never be so.
    host_network: bool = False


class UsageOrder(msgspec.Struct, tag_field="kind", tag="usage"):
    """Measure what the node and its containers use: a `UsageReport` on STDOUT, in one message."""


class ContainerReport(msgspec.Struct, kw_only=True):
    """What one container uses: cores of CPU, bytes of memory."""

    namespace: str
    pod: str
    container: str
    cpu: float
    memory: int


class UsageReport(msgspec.Struct, kw_only=True):
    """What a node and its containers used in the `seconds` before `at` (since the epoch)."""

    at: float
    seconds: float
    cpu: float
    memory: int
    containers: list[ContainerReport]


Order = ExecOrder | AttachOrder | LogOrder | ForwardOrder | UsageOrder


class Open(msgspec.Struct, kw_only=True, tag="open", tag_field="type"):
    """Dial a data connection for this one-time id and carry the order out."""

    stream: str
    order: Order


class Cancel(msgspec.Struct, kw_only=True, tag="cancel", tag_field="type"):
    """Nobody wants this stream any more. Its own connection may be too full to say so."""

    stream: str


class Ping(msgspec.Struct, tag="ping", tag_field="type"):
    """The agent lives."""


class Pong(msgspec.Struct, tag="pong", tag_field="type"):
    """So does the server."""


ToAgent = Open | Cancel | Pong


def connect_path(node: str) -> str:
    """Where the agent of a node dials its control connection."""
    return f"/apis/{GROUP}/v1/nodes/{node}/connect"


def stream_path(node: str, stream: str) -> str:
    """Where the agent of a node dials a data connection."""
    return f"/apis/{GROUP}/v1/nodes/{node}/streams/{stream}"


def success() -> bytes:
    """The Status of a stream that ended well."""
    return msgspec.json.encode({"metadata": {}, "status": "Success"})


def exited(code: int) -> bytes:
    """The Status of a command that ended with this exit code, in Kubernetes' words."""
    if code == 0:
        return success()
    return msgspec.json.encode(
        {
            "metadata": {},
            "status": "Failure",
            "message": f"command terminated with non-zero exit code: exit status {code}",
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
        }
    )


def failure(*, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> bytes:
    """The Status of a stream that could not do its work."""
    status: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    status |= {"message": message, "reason": reason}
    if details:
        status["details"] = details
    return msgspec.json.encode(status | {"code": code})
