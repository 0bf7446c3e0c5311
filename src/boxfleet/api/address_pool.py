"""AddressPool: a range of addresses with its network facts."""

from typing import Annotated, ClassVar

import msgspec

from boxfleet.api import cells, kind, meta, pool_rules, wellknown


class AddressPoolSpec(meta.Model):
    """The range and the network it lives on."""

    cidr: Annotated[str, msgspec.Meta(description="The network, for example 10.88.0.0/16.")]
    gateway: Annotated[str, msgspec.Meta(description="The hosts' own address on it; the first one when empty.")] = ""
    start: Annotated[str, msgspec.Meta(description="First address to hand out; after the gateway when empty.")] = ""
    end: Annotated[str, msgspec.Meta(description="Last address to hand out; before the broadcast when empty.")] = ""
    exclude: Annotated[list[str], msgspec.Meta(description="Addresses never to hand out.")] = []
    bridge: Annotated[str, msgspec.Meta(description="Bridge on each host.", max_length=15)] = wellknown.BRIDGE
    mtu: Annotated[int, msgspec.Meta(ge=0, le=65535, description="0: as the host's.")] = 0


class PoolHost(meta.Model):
    """A host on the network, and where the others reach it."""

    node: Annotated[str, msgspec.Meta(description="Its Node.")]
    address: Annotated[str, msgspec.Meta(description="Its own address on the network.")]
    underlay: Annotated[str, msgspec.Meta(description="Its address among hosts.")] = ""


class AddressPoolStatus(meta.Model, omit_defaults=False):
    """How full it is."""

    observedGeneration: Annotated[int, msgspec.Meta(description="The generation that this status is about.")] = 0
    capacity: Annotated[int, msgspec.Meta(description="How many addresses it can hand out.")] = 0
    used: Annotated[int, msgspec.Meta(description="How many are handed out.")] = 0
    free: Annotated[int, msgspec.Meta(description="How many are left.")] = 0
    hosts: Annotated[
        list[PoolHost], msgspec.Meta(description="The hosts on the network.", extra=meta.keyed_by("node"))
    ] = []
    conditions: Annotated[
        list[meta.Condition], msgspec.Meta(description="Ready, and why not.", extra=meta.keyed_by("type"))
    ] = []


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
        columns=(
            kind.Column(name="CIDR", path=".spec.cidr", description="The network."),
            kind.Column(name="Used", type="integer", path=".status.used", description="Addresses handed out."),
            kind.Column(name="Free", type="integer", path=".status.free", description="Addresses left."),
            cells.AGE,
            kind.Column(name="Bridge", path=".spec.bridge", priority=1, description="Bridge on each host."),
            kind.Column(name="Gateway", path=".spec.gateway", priority=1, description="The hosts' own address."),
        ),
        default=pool_rules.default,
        validate=pool_rules.validate,
    )

    spec: AddressPoolSpec
    status: AddressPoolStatus = msgspec.field(default_factory=AddressPoolStatus)
