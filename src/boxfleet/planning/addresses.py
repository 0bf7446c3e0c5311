"""Which addresses of a pool to hand out: always the lowest free ones."""

import dataclasses
import functools
import ipaddress
from collections.abc import Collection, Iterator

from boxfleet.api import address_pool


class PoolError(ValueError):
    """The pool's facts contradict each other; the text says which and what to change."""


@dataclasses.dataclass(frozen=True, slots=True)
class Range:
    """Addresses that a pool hands out, as numbers; `first` and `last` are both part of it."""

    first: int
    last: int
    excluded: frozenset[int]

    @property
    def capacity(self) -> int:
        """How many addresses can be handed out at all."""
        inside = sum(1 for number in self.excluded if self.first <= number <= self.last)
        return max(0, self.last - self.first + 1 - inside)

    def __contains__(self, number: int) -> bool:
        return self.first <= number <= self.last and number not in self.excluded


def gateway(spec: address_pool.AddressPoolSpec) -> str:
    """The hosts' own address on the network: the one named, or the first of the network."""
    return spec.gateway or str(_network(spec.cidr)[1])


def range_of(spec: address_pool.AddressPoolSpec) -> Range:
    """Read a pool; raises PoolError when its start, end and cidr do not fit together."""
    network = _network(spec.cidr)
    lowest, highest = int(network.network_address), int(network.broadcast_address)
    own = _number(gateway(spec), "gateway")
    # Without a wish: from the first host's address on; the gateway is left out below.
    first = _number(spec.start, "start") if spec.start else lowest + 1
    last = _number(spec.end, "end") if spec.end else highest - 1
    if not (lowest <= first <= highest and lowest <= last <= highest):
        raise PoolError(f"start {spec.start or '-'} and end {spec.end or '-'} must lie within cidr {spec.cidr}")
    if first > last:
        raise PoolError(f"there is no address between start and end in {spec.cidr}: choose a larger network")
    never = {lowest, highest, own} | {_number(text, "exclude") for text in spec.exclude}
    return Range(first, last, frozenset(never))


def refusal(spec: address_pool.AddressPoolSpec, number: int) -> str:
    """Why a pool does not hand out an address; empty when it does. Raises PoolError."""
    found = range_of(spec)
    network = _network(spec.cidr)
    if number == _number(gateway(spec), "gateway"):
        return f"has it as its gateway: take one of {_span(found)}"
    if number in (int(network.network_address), int(network.broadcast_address)):
        return f"cannot hand it out: it is the network or the broadcast address of {network}"
    if not found.first <= number <= found.last:
        return f"does not have it: it hands out {_span(found)}"
    if number in found.excluded:
        return "never hands it out: it stands in spec.exclude"
    return ""


def overlap(one: address_pool.AddressPoolSpec, other: address_pool.AddressPoolSpec) -> str:
    """Why the second pool stands in the way of the first, and what to do; empty when it does not.

    Two pools may share a network, with the same gateway and bridge and different parts of it to hand out.
    """
    try:
        mine, theirs = _network(one.cidr), _network(other.cidr)
        if not mine.overlaps(theirs):
            return ""
        if mine != theirs:
            return "is of an overlapping network: use one that no other pool has"
        if (gateway(one), one.bridge) != (gateway(other), other.bridge):
            return f"is of the same network, so gateway and bridge must be the same: {gateway(other)}, {other.bridge}"
        first, second = range_of(one), range_of(other)
    except PoolError:
        # Said of the pool itself.
        return ""
    if first.first > second.last or second.first > first.last:
        return ""
    return f"hands out {_span(second)}: use another network, or start and end that leave these out"


def _span(found: Range) -> str:
    return f"{text_of(found.first)} to {text_of(found.last)}"


def lowest_free(pool: Range, taken: Collection[int]) -> Iterator[int]:
    """Free numbers in rising order; ends when the pool is full."""
    for number in range(pool.first, pool.last + 1):
        if number not in taken and number not in pool.excluded:
            yield number


def number_of(name: str) -> int | None:
    """The number behind an address' text, or None when it is no address."""
    try:
        return int(ipaddress.IPv4Address(name))
    except ValueError:
        return None


def text_of(number: int) -> str:
    """The text of an address, which is the name of its object."""
    return str(ipaddress.IPv4Address(number))


@functools.lru_cache(maxsize=64)
def _network(cidr: str) -> ipaddress.IPv4Network:
    """Kept, since it is read for each address that is claimed."""
    try:
        network = ipaddress.IPv4Network(cidr, strict=False)
    except ValueError as error:
        raise PoolError(f"cidr {cidr!r} is not an IPv4 network such as 10.88.0.0/16: {error}") from None
    if network.prefixlen > 30:
        raise PoolError(f"cidr {cidr} has no room for a gateway and instances: use a prefix of /30 or shorter")
    return network


def _number(text: str, field: str) -> int:
    number = number_of(text)
    if number is None:
        raise PoolError(f"{field} {text!r} is not an IPv4 address")
    return number
