"""Step 5: the hosts' own addresses on the instances' network, and who is on it.

The first server's host has the pool's gateway. Every host that joins gets an address of the pool, held by an Address
object that goes with its Node.
"""

from collections.abc import Iterable

from boxfleet.api import address, address_pool, labels, meta, node
from boxfleet.controllers.address import ledger
from boxfleet.planning import addresses


def wish(subject: node.Node) -> str:
    """Which address a node wants: GATEWAY, OWN, or none, as one that is no host of ours or is not heard of yet."""
    return subject.metadata.annotations.get(labels.HOST_ADDRESS, "")


def claim(subject: node.Node, pool: str) -> ledger.Claim:
    """The claim of a host for an address of its own."""
    kind = node.Node.KIND
    owner = meta.OwnerReference(
        apiVersion=kind.api_version, kind=kind.kind, name=subject.metadata.name, uid=subject.metadata.uid
    )
    return ledger.Claim(
        address.AddressSpec(pool=pool, reserved=True),
        meta.ObjectMeta(annotations={labels.HOST_OF: subject.metadata.name}, ownerReferences=[owner]),
    )


def held(subject: node.Node, pool: str, known: Iterable[address.Address]) -> str:
    """The address of a host in a pool; empty while it has none."""
    found = [
        each
        for each in known
        if each.spec.pool == pool
        and each.metadata.annotations.get(labels.HOST_OF) == subject.metadata.name
        and any(owner.uid == subject.metadata.uid for owner in each.metadata.ownerReferences)
    ]
    return min(found, key=lambda each: each.metadata.creationTimestamp).metadata.name if found else ""


def on_network(
    pool: address_pool.AddressPool, nodes: Iterable[node.Node], known: Iterable[address.Address]
) -> list[address_pool.PoolHost]:
    """The hosts that have an address in a pool; of several that take the gateway for theirs, the oldest."""
    own = [each for each in known if labels.HOST_OF in each.metadata.annotations]
    found, has_gateway = [], False
    for each in sorted(nodes, key=lambda one: (one.metadata.creationTimestamp, one.metadata.name)):
        where = ""
        if wish(each) == labels.OWN:
            where = held(each, pool.metadata.name, own)
        elif wish(each) == labels.GATEWAY and not has_gateway:
            where, has_gateway = addresses.gateway(pool.spec), True
        if where and not each.metadata.deletionTimestamp:
            found.append(address_pool.PoolHost(node=each.metadata.name, address=where, underlay=underlay(each)))
    return sorted(found, key=lambda one: one.node)


def underlay(subject: node.Node) -> str:
    """A node's address among hosts; a loopback address is none."""
    said = (each.address for each in subject.status.addresses if each.type == "InternalIP")
    return next((each for each in said if not each.startswith("127.")), "")
