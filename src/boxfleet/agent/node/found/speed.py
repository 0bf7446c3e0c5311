"""How fast the disk is: measured once, gently, and remembered with its date."""

import os
import pathlib
import secrets
import time

import msgspec
import structlog

from boxfleet.agent.node.found import disks
from boxfleet.kit import durable

log = structlog.get_logger()

# What is written: enough to see past a small cache of the disk, too little to wear it or to be in anybody's way.
_BLOCK = 2**20
_BLOCKS = 16
_PAGE = 4096
_SYNCS = 200
# Seconds for each of the two parts at most: a slow disk is known to be slow after that, too.
_LIMIT = 2.0


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """MiB/s written in one go; small writes a second that are each made to last."""

    write_mib: int
    sync_iops: int
    # The device, as MAJOR:MINOR: on another one the measurement says nothing.
    device: str
    measured: str


def remembered(file: pathlib.Path, *, device: str) -> Speed | None:
    """What was measured before on that device."""
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Speed)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        log.warning("cannot read how fast the disk is: it is measured again", path=str(file), cause=str(error))
        return None
    return found if found.device == device else None


def remember(file: pathlib.Path, found: Speed) -> None:
    """Keep it for the next start."""
    durable.write(file, msgspec.json.encode(found))


def measure(folder: pathlib.Path, *, now: str) -> Speed:
    """Write into a file of that folder, which is gone afterwards. Takes some seconds; raises OSError."""
    path = folder / f".speed.{secrets.token_hex(4)}"
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        # Nothing is left of it whatever happens to us.
        path.unlink()
        # File systems that compress shall have nothing to gain.
        block = os.urandom(_BLOCK)
        began = time.monotonic()
        blocks = 0
        while blocks < _BLOCKS and time.monotonic() - began < _LIMIT:
            os.pwrite(handle, block, blocks * _BLOCK)
            blocks += 1
        os.fsync(handle)
        megabytes = blocks / (time.monotonic() - began)
        began = time.monotonic()
        syncs = 0
        while syncs < _SYNCS and time.monotonic() - began < _LIMIT:
            place = secrets.randbelow(blocks * _BLOCK // _PAGE) * _PAGE
            os.pwrite(handle, block[:_PAGE], place)
            os.fdatasync(handle)
            syncs += 1
        each = syncs / (time.monotonic() - began)
    finally:
        os.close(handle)
    return Speed(write_mib=rounded(megabytes), sync_iops=rounded(each), device=disks.device_of(folder), measured=now)


def rounded(amount: float) -> int:
    """Two digits: the next measurement would not say the same any further."""
    whole = max(1, round(amount))
    return int(round(whole, 2 - len(str(whole)))) if whole >= 100 else whole
