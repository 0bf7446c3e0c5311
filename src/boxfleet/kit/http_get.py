"""One small HTTP/1.1 GET, for probes and hooks: status and nothing else.

A whole HTTP client costs more memory and time than the question is worth; a probe needs one line of the answer.
"""

import asyncio
import contextlib
import os
import ssl
from collections.abc import Sequence

# Of the answer no more is read than this (bytes).
_READ_LIMIT = 10 * 1024


async def get(
    *,
    host: str,
    port: int,
    path: str,
    scheme: str,
    headers: Sequence[tuple[str, str]],
    timeout: float,
    patience: float,
) -> tuple[int, str]:
    """Status and the beginning of the answer; raises OSError, TimeoutError or ValueError when there is none.

    `patience` is for the connection alone, `timeout` for all; both in seconds.
    """
    context = None
    if scheme.upper() == "HTTPS":
        context = ssl.create_default_context()
        # Kubernetes: "the kubelet skips the certificate verification".
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    async with asyncio.timeout(timeout):
        async with asyncio.timeout(patience):
            reader, writer = await _open(host, port, context)
        try:
            writer.write(_request(host, port, path, headers))
            line = await reader.readline()
            status = _status(line)
            rest = b""
            if status >= 400:
                with contextlib.suppress(OSError):
                    rest = await reader.read(1024)
            return status, rest.partition(b"\r\n\r\n")[2].decode(errors="replace")
        finally:
            writer.transport.abort()


async def connect(*, host: str, port: int, timeout: float) -> None:
    """Open a TCP connection and close it; raises OSError or TimeoutError."""
    async with asyncio.timeout(timeout):
        _, writer = await _open(host, port, None)
        writer.close()


async def _open(
    host: str, port: int, context: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection; raises OSError in words that people who read a Pod's events know."""
    try:
        return await asyncio.open_connection(host, port, ssl=context, limit=_READ_LIMIT)
    except ssl.SSLError:
        raise
    except OSError as error:
        cause = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        raise ConnectionError(f"cannot connect to {host}:{port}: {cause}") from None


def _request(host: str, port: int, path: str, headers: Sequence[tuple[str, str]]) -> bytes:
    own = {"host": f"{host}:{port}", "user-agent": "boxfleet-probe", "accept": "*/*", "connection": "close"}
    for name, _ in headers:
        own.pop(name.lower(), None)
    lines = [f"GET {path if path.startswith('/') else '/' + path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in [*own.items(), *headers]]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a probe's path or header holds a line break")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _status(line: bytes) -> int:
    parts = line.split(None, 2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/") or not parts[1].isdigit():
        raise ValueError(f"not an HTTP answer: {line[:64]!r}")
    return int(parts[1])
