"""Asking a name server, also one in another network namespace."""

import asyncio
import ctypes
import os
import pathlib
import secrets
import socket
import threading

from boxfleet.drivers.dnsmasq import records

_CLONE_NEWNET = 0x40000000


async def addresses(
    name: str, *, server: str, port: int, space: pathlib.Path | None, patience: float
) -> list[str] | None:
    """The IPv4 addresses of a name; empty when it has none, None without an answer within `patience` seconds."""
    asked = records.question(name, number=secrets.randbelow(0x10000))
    try:
        channel = _socket(space)
    except OSError:
        return None
    loop = asyncio.get_running_loop()
    with channel:
        try:
            async with asyncio.timeout(patience):
                channel.connect((server, port))
                await loop.sock_sendall(channel, asked)
                while True:
                    found = records.answers(await loop.sock_recv(channel, 4096), asked=asked)
                    if found is not None:
                        return found
        except (OSError, TimeoutError):
            return None


def _socket(space: pathlib.Path | None) -> socket.socket:
    """A UDP socket; a socket stays in the network namespace where it was made."""
    if space is None:
        return _plain_socket()
    made: list[socket.socket | OSError] = []

    def enter_and_make() -> None:
        try:
            handle = os.open(space, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(handle, _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), f"cannot enter {space}")
            finally:
                os.close(handle)
            made.append(_plain_socket())
        except OSError as error:
            made.append(error)

    # Only the thread changes its namespace, and it ends here.
    thread = threading.Thread(target=enter_and_make)
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]


def _plain_socket() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
