"""AddressPool: a range of addresses with its network facts."""

from typing import Annotated, ClassVar

import msgspec

from boxfleet.api import kind, meta


class AddressPoolSpec(meta.Model):
    """The range and the network it lives on."""

    cidr: Annotated[str, msgspec.Meta(description="The network, for example 10.88.0.0/16.")]
    gateway: Annotated[str, msgspec.Meta(description="The hosts' own address on it; the first one when empty.")] = ""
    start: Annotated[str, msgspec.Meta(description="First address to hand out; after the gateway when empty.")] = ""
    end: Annotated[str, msgspec.Meta(description="Last address to hand out; before the broadcast when empty.")] = ""
    exclude: Annotated[list[str], msgspec.Meta(description="Addresses never to hand out.")] = []
    bridge: Annotated[str, msgspec.Meta(description="Bridge on each host.", max_length=15)] = "boxfleet0"
    mtu: Annotated[int, msgspec.Meta(ge=0, le=65535, description="0: as the host's.")] = 0


class AddressPoolStatus(meta.Model, omit_defaults=False):
    """How full it is."""

    observedGeneration: int = 0
    capacity: int = 0
    used: int = 0
    free: int = 0
    conditions: list[meta.Condition] = []


class AddressPool(meta.Object, kw_only=True):
    """A range of addresses from which each instance gets one of its own."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group=kind.GROUP,
        version=kind.VERSION,
        kind="AddressPool",
        plural="addresspools",
        singular="addresspool",
        short_names=("ap",),
        namespaced=False,
    )

    spec: AddressPoolSpec
    status: AddressPoolStatus = msgspec.field(default_factory=AddressPoolStatus)
