"""A program of a few bytes that does nothing for ever, for containers that only hold a network.

It is written by hand, so that no image must be fetched for it: an ELF header, one segment, and a loop around the system
call that waits for a signal (elf(5), pause(2); on arm64 ppoll(2) with nothing to wait for).
"""

import io
import struct
import tarfile
from typing import Final

IMAGE: Final = "boxfleet.local/pause:1"
_PATH: Final = "pause"
_BASE: Final = 0x400000
# ELF's number of the machine, and the loop.
_MACHINES: Final = {
    "x86_64": (62, bytes.fromhex("b822000000 0f05 ebf7")),
    "aarch64": (183, struct.pack("<7I", 0xD2800928, *(0xD2800000 + one for one in range(4)), 0xD4000001, 0x17FFFFFA)),
}


def knows(architecture: str) -> bool:
    """Whether there is a program for an engine's architecture (its words: uname's)."""
    return architecture in _MACHINES


def program(architecture: str) -> bytes:
    """The program."""
    machine, code = _MACHINES[architecture]
    start = 64 + 56
    size = start + len(code)
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, _BASE + start, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return header + segment + code


def root(architecture: str) -> bytes:
    """The whole file system of the image, as a tar archive."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        entry = tarfile.TarInfo(_PATH)
        content = program(architecture)
        entry.size, entry.mode = len(content), 0o755
        archive.addfile(entry, io.BytesIO(content))
    return target.getvalue()


# What the import shall put into the image's configuration.
CHANGES: Final = [f'ENTRYPOINT ["/{_PATH}"]']
