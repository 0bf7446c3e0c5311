"""What settings say that can never work, found before anything is changed by them.

The form alone: what depends on the machine, the doctor tries.
"""

import ipaddress
import re
from collections.abc import Iterator

from boxfleet.api import names, pool_rules, resource_names
from boxfleet.app import settings

# What clients may call a server by; a certificate may speak for all names below one.
_HOST = re.compile(r"(?:\*\.)?[a-zA-Z0-9_](?:[-a-zA-Z0-9_.]*[a-zA-Z0-9_])?")


def faults(known: settings.All) -> list[tuple[str, str]]:
    """Each setting that has no use as it is, with the reason."""
    return list(_faults(known))


def _faults(known: settings.All) -> Iterator[tuple[str, str]]:
    for name, value in (("node", known.node), ("domain", known.domain.lower())):
        if why := names.subdomain(value):
            yield name, f"{value!r} {why}"
    for error in pool_rules.validate({"spec": {"cidr": known.cidr, "bridge": known.bridge}}, None):
        yield error.field.removeprefix("spec."), error.message
    for name, values in (("names", known.names), ("advertise", (known.advertise,) if known.advertise else ())):
        for value in values:
            if not _is_host(value):
                yield name, f"{value!r} is neither a DNS name nor an IP address"
    for value in known.resources:
        if why := _resource_fault(value):
            yield "resources", f"{value!r} {why}"


def _resource_fault(text: str) -> str:
    name, sign, amount = text.partition("=")
    if not sign or "/" not in name or names.label_key(name) is not None:
        return "is not NAME=QUANTITY with a name such as example.com/device"
    errors = resource_names.quantity_errors("", f"count/{name}", amount)
    return errors[0].message if errors else ""


def _is_host(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return len(text) <= 253 and _HOST.fullmatch(text) is not None
    return True
