"""Which names answer with which addresses."""

from collections.abc import Iterable

from boxfleet.api import address
from boxfleet.ports import network


def records(addresses: Iterable[address.Address]) -> frozenset[network.Record]:
    """An instance's name always has its address; a Unit's name has those of its ready members."""
    found = set()
    for item in addresses:
        spec = item.spec
        if spec.domain:
            found.add(network.Record(spec.domain, item.metadata.name))
        if spec.unitDomain and item.status.ready:
            found.add(network.Record(spec.unitDomain, item.metadata.name))
    return frozenset(found)
