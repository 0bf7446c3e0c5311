"""Records as dnsmasq reads them, and the question by which it is asked what it has read. No I/O."""

import ipaddress
import re
import struct
from collections.abc import Iterable

from boxfleet.ports import network

_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*")
_MARK = "_published"


def hosts(records: Iterable[network.Record], *, domain: str, serial: int) -> str:
    """The hosts file: a line for each record, and last the mark with the serial number.

    dnsmasq reads the file in one go, in order: whoever gets the mark's new address gets all records before it too.
    Raises NetworkFault for what would not be one name and one address.
    """
    lines = []
    for record in sorted(records):
        if not _NAME.fullmatch(record.name):
            raise network.NetworkFault(f"cannot publish {record.name!r}: it is no domain name")
        try:
            ipaddress.ip_address(record.address)
        except ValueError:
            raise network.NetworkFault(f"cannot publish {record.name}: {record.address!r} is no address") from None
        lines.append(f"{record.address} {record.name}\n")
    lines.append(f"{mark_address(serial)} {mark_name(domain)}\n")
    return "".join(lines)


def serial_of(text: str, *, domain: str) -> int:
    """The serial number in a hosts file; 0 when there is none."""
    for line in text.splitlines():
        address, _, name = line.partition(" ")
        if name == mark_name(domain):
            return serial_at(address)
    return 0


def serial_at(address: str) -> int:
    """The serial number that an address of the mark stands for."""
    return int(ipaddress.IPv4Address(address)) & 0xFFFFFF


def mark_name(domain: str) -> str:
    """A name that no instance can have."""
    return f"{_MARK}.{domain}"


def mark_address(serial: int) -> str:
    """A serial number as an address of the loopback network, where nobody is led astray; it wraps at 2^24."""
    return str(ipaddress.IPv4Address((127 << 24) | (serial & 0xFFFFFF)))


def question(name: str, *, number: int) -> bytes:
    """A DNS query (RFC 1035) for the IPv4 address of a name."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    # One question, recursion desired; type A, class IN.
    return struct.pack(">6H", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)


def answers(packet: bytes, *, asked: bytes) -> list[str] | None:
    """The addresses in the answer to a question; None when the packet answers another.

    Reads what dnsmasq sends for names of its own: answers of type A whose name is a pointer.
    """
    if len(packet) < len(asked) or packet[:2] != asked[:2] or packet[12 : len(asked)] != asked[12:]:
        return None
    (count,) = struct.unpack_from(">H", packet, 6)
    found, at = [], len(asked)
    for _ in range(count):
        if at + 12 > len(packet):
            return None
        kind, size = struct.unpack_from(">2xH6xH", packet, at)
        if at + 12 + size > len(packet):
            return None
        if (kind, size) == (1, 4):
            found.append(str(ipaddress.IPv4Address(packet[at + 12 : at + 12 + size])))
        at += 12 + size
    return found
