"""AddressPools beside each other: no address is handed out by two, and none goes while its addresses are in use."""

import msgspec

from boxfleet.api import address, address_pool, admission, fields, kind
from boxfleet.planning import addresses

# Instances that are named when a pool cannot go; the rest is a number.
_NAMED = 3


def write_errors(new: kind.JsonObject, old: kind.JsonObject | None, look: admission.Look) -> list[kind.FieldError]:
    """A pool that hands out what another one does, or whose gateway has an address that somebody has."""
    if old is not None and old["spec"] == new["spec"]:
        return []
    wanted = msgspec.convert(new["spec"], address_pool.AddressPoolSpec)
    name = new["metadata"]["name"]
    for other in look.all(address_pool.AddressPool):
        if other.metadata.name != name and (fault := addresses.overlap(wanted, other.spec)):
            remedy = f"AddressPool {other.metadata.name} ({other.spec.cidr}) {fault}"
            return [fields.invalid("spec.cidr", wanted.cidr, remedy)]
    own = addresses.gateway(wanted)
    if (held := look.find(address.Address, own)) is not None:
        remedy = f"{_holder(held)} has this address: choose a free one, or let that one go first"
        return [fields.invalid("spec.gateway", own, remedy)]
    return []


def kept_by(old: kind.JsonObject, look: admission.Look) -> str:
    """Why a pool may not go; empty when nobody has an address of it."""
    name = old["metadata"]["name"]
    held = [each for each in look.all(address.Address) if each.spec.pool == name]
    if not held:
        return ""
    shown = [f"{each.metadata.name} ({_holder(each)})" for each in held[:_NAMED]]
    if len(held) > _NAMED:
        shown.append(f"{len(held) - _NAMED} more")
    return (
        f"its addresses are in use: {', '.join(shown)}; delete or scale down what has them first, see "
        f"`kubectl get addresses --field-selector spec.pool={name}`"
    )


def _holder(held: address.Address) -> str:
    return f"{held.spec.namespace}/{held.spec.instance}" if held.spec.instance else "a reservation"
