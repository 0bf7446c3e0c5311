"""Which names answer with which addresses."""

import ipaddress
from collections.abc import Iterable

from boxfleet.api import address
from boxfleet.ports import network


def of(addresses: Iterable[address.Address], *, suffix: str, api: str = "") -> frozenset[network.Record]:
    """An instance's name always has its address, or the one that it has in a cluster of others.

    A Unit's name has those of its ready members.

    The API has the name that Kubernetes gives it, for its address `api`; no instance has it besides.

    Only names below the fleet's own domain: an Address shall not answer for somebody else's in the world outside.
    """
    found = set()
    for item in addresses:
        spec = item.spec
        where = item.status.reachedAt if _is_address(item.status.reachedAt) else item.metadata.name
        if spec.domain.endswith(f".{suffix}"):
            found.add(network.Record(spec.domain, where))
        if spec.unitDomain.endswith(f".{suffix}") and item.status.ready:
            found.add(network.Record(spec.unitDomain, where))
    if _is_address(api):
        name = f"kubernetes.default.svc.{suffix}"
        found = {each for each in found if each.name != name} | {network.Record(name, api)}
    return frozenset(found)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
