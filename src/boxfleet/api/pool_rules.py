"""Defaults of and rules for AddressPools: a network, and the part of it that is handed out."""

import ipaddress
from typing import Any

from boxfleet.api import fields, kind, wellknown

# A host route or a point-to-point link has no room for a gateway and instances.
_SMALLEST_PREFIX = 30
_LARGEST_PREFIX = 8

Json = dict[str, Any]


def default(pool: kind.JsonObject) -> None:
    """Instances are on Boxfleet's own bridge unless another is named."""
    pool.setdefault("spec", {}).setdefault("bridge", wellknown.BRIDGE)


def validate(new: Json, old: Json | None) -> list[kind.FieldError]:
    """A pool as it is written; its network stays for ever, since addresses outlive instances."""
    spec = new.get("spec") or {}
    cidr = spec.get("cidr", "")
    try:
        network = ipaddress.IPv4Network(cidr)
    except ValueError:
        return [fields.invalid("spec.cidr", cidr, _network_remedy(cidr))]
    errors: list[kind.FieldError] = []
    if not _LARGEST_PREFIX <= network.prefixlen <= _SMALLEST_PREFIX:
        errors.append(fields.invalid("spec.cidr", cidr, f"must be between /{_LARGEST_PREFIX} and /{_SMALLEST_PREFIX}"))
    if str(network) != cidr:
        errors.append(fields.invalid("spec.cidr", cidr, f"must be written as {network}"))
    if old is not None and (old.get("spec") or {}).get("cidr") != cidr:
        errors.append(fields.forbidden("spec.cidr", "cannot be changed, since addresses are kept: make another pool"))
    found: dict[str, ipaddress.IPv4Address] = {}
    for key in ("gateway", "start", "end"):
        if text := spec.get(key):
            errors += _inside(f"spec.{key}", text, network, found, key)
    for index, text in enumerate(spec.get("exclude") or ()):
        errors += _inside(f"spec.exclude[{index}]", text, network, {}, "")
    start, end, gateway = found.get("start"), found.get("end"), found.get("gateway")
    if start is not None and end is not None and start > end:
        errors.append(fields.invalid("spec.end", str(end), f"must not come before start, which is {start}"))
    # The gateway is never handed out; a range that is nothing but the gateway hands out nothing.
    if start is not None and start == end == gateway:
        errors.append(fields.invalid("spec.start", str(start), "is the gateway, and the only address of the range"))
    bridge = spec.get("bridge", "")
    if not bridge or "/" in bridge or any(letter.isspace() for letter in bridge) or bridge in (".", ".."):
        errors.append(fields.invalid("spec.bridge", bridge, "must be the name of a network interface, as boxfleet0"))
    return errors


def _inside(
    field: str, text: str, network: ipaddress.IPv4Network, found: dict[str, ipaddress.IPv4Address], key: str
) -> list[kind.FieldError]:
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        return [fields.invalid(field, text, "must be an IPv4 address, for example 10.88.0.10")]
    if address not in network:
        return [fields.invalid(field, text, f"must be inside of {network}")]
    if address in (network.network_address, network.broadcast_address):
        return [fields.invalid(field, text, f"is the network or the broadcast address of {network}")]
    found[key] = address
    return []


def _network_remedy(cidr: str) -> str:
    try:
        return f"has host bits set: write {ipaddress.IPv4Network(cidr, strict=False)}"
    except ValueError:
        return "must be an IPv4 network, for example 10.88.0.0/16"
