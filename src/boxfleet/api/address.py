"""Address: one leased IP. The object is named by it, so creating the object is the atomic claim."""

from typing import Annotated, ClassVar

import msgspec

from boxfleet.api import kind, meta


class AddressSpec(meta.Model):
    """Who holds it, and the names it answers to."""

    pool: str
    namespace: Annotated[str, msgspec.Meta(description="Namespace of the instance.")]
    instance: Annotated[str, msgspec.Meta(description="Name of the Pod that has the address, again and again.")]
    unit: Annotated[str, msgspec.Meta(description="Its Unit object; empty for a Pod of its own.")] = ""
    domain: Annotated[str, msgspec.Meta(description="Domain name of the instance.")] = ""
    unitDomain: Annotated[str, msgspec.Meta(description="Domain name of the Unit, shared by ready members.")] = ""


class AddressStatus(meta.Model):
    """Whether something answers there now."""

    # Bound: its instance is there. Held: kept for the instance to come back.
    phase: str = ""
    ready: bool = False
    node: str = ""


class Address(meta.Object, kw_only=True):
    """One leased IP address, kept by the ledger for one instance wherever it runs."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group=kind.GROUP,
        version=kind.VERSION,
        kind="Address",
        plural="addresses",
        singular="address",
        short_names=("addr",),
        namespaced=False,
        selectable=("spec.pool", "spec.namespace", "spec.instance", "spec.unit"),
    )

    spec: AddressSpec
    status: AddressStatus = msgspec.field(default_factory=AddressStatus)
