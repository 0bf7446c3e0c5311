"""Where instances reach the API: the addresses, and who is let in there.

A server that listens on loopback alone listens on the host's own address on the instances' network besides, and takes
connections there from instances only. Whoever sets `listen` to another address is reached there.
"""

import ipaddress
import urllib.parse

import msgspec

from boxfleet.api import address_pool
from boxfleet.apiserver import registry, serve
from boxfleet.app import settings
from boxfleet.planning import addresses
from boxfleet.store import store as stores

_pools = msgspec.json.Decoder(address_pool.AddressPool)


def host_for_instances(known: settings.Instance) -> str:
    """The address of the API as instances see it; on a host that has joined, where its agent finds it."""
    if isinstance(known, settings.Agent) and not known.serves:
        return urllib.parse.urlsplit(known.servers[0]).hostname or ""
    if _is_loopback(known.listen) or known.listen in ("0.0.0.0", "::"):  # noqa: S104
        return addresses.gateway(address_pool.AddressPoolSpec(cidr=known.cidr))
    return known.listen


def port_for_instances(known: settings.Agent) -> int:
    """The API's port there."""
    return known.port if known.serves else urllib.parse.urlsplit(known.servers[0]).port or 443


def names(known: settings.Instance) -> list[str]:
    """What instances may call the API."""
    short = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    return [host_for_instances(known), *short, f"kubernetes.default.svc.{known.domain}"]


def further(known: settings.Instance, store: stores.Store) -> serve.Further | None:
    """Where the server listens besides, if it has to."""
    if not _is_loopback(known.listen):
        return None
    return serve.Further(host=host_for_instances(known), admits=lambda peer: _is_instance(peer, store))


def _is_loopback(listen: str) -> bool:
    try:
        return ipaddress.ip_address(listen).is_loopback
    except ValueError:
        return listen == "localhost"


def _is_instance(peer: str, store: stores.Store) -> bool:
    """Whether an address is of any pool. Who pretends that from outside gets no answer: it goes to the bridge."""
    address = ipaddress.ip_address(peer)
    for row in store.range(registry.prefix(address_pool.AddressPool.KIND)):
        if address in ipaddress.ip_network(_pools.decode(row.value).spec.cidr, strict=False):
            return True
    return False
