"""Address: one leased IP. The object is named by it, so creating the object is the atomic claim."""

from typing import Annotated, ClassVar

import msgspec

from boxfleet.api import cells, fields, kind, meta, names


class AddressSpec(meta.Model):
    """Who holds it, and the names it answers to."""

    pool: Annotated[str, msgspec.Meta(description="The AddressPool that it is from.")]
    namespace: Annotated[str, msgspec.Meta(description="Namespace of the instance; empty for nobody's.")] = ""
    instance: Annotated[str, msgspec.Meta(description="Name of the Pod that has the address, again and again.")] = ""
    unit: Annotated[str, msgspec.Meta(description="Its Unit object; empty for a Pod of its own.")] = ""
    domain: Annotated[str, msgspec.Meta(description="Domain name of the instance.")] = ""
    unitDomain: Annotated[str, msgspec.Meta(description="Domain name of the Unit, shared by ready members.")] = ""
    reserved: Annotated[
        bool,
        msgspec.Meta(
            description="Kept until somebody deletes it, also without its instance. Without an instance, nobody gets "
            "the address."
        ),
    ] = False


class AddressStatus(meta.Model):
    """Whether something answers there now."""

    phase: Annotated[
        str,
        msgspec.Meta(
            description="Bound: its instance is there. Held: kept for it to come back. Reserved: kept by hand."
        ),
    ] = ""
    ready: Annotated[bool, msgspec.Meta(description="Whether its instance is ready for work.")] = False
    node: Annotated[str, msgspec.Meta(description="The host where it is.")] = ""
    reachedAt: Annotated[
        str,
        msgspec.Meta(
            description="Where its instance is reached now, while it runs in a Cluster that gives addresses of its "
            "own; empty: here. It is kept for the instance to come back to."
        ),
    ] = ""


# What it answers to may change; whose it is may not.
_CHANGEABLE = ("domain", "unitDomain", "reserved")


def _validate(new: kind.JsonObject, old: kind.JsonObject | None) -> list[kind.FieldError]:
    spec, before = new.get("spec") or {}, (old or {}).get("spec") or {}
    if old is not None:
        return [
            fields.forbidden(f"spec.{key}", "cannot be changed: delete the Address to let go of it")
            for key in sorted(spec.keys() | before.keys())
            if key not in _CHANGEABLE
            and spec.get(key, "") != before.get(key, "")
            # A reservation by hand need not say which Unit its instance is of.
            and not (key == "unit" and not before.get(key) and before.get("reserved"))
        ] + _instance_errors(spec)
    errors: list[kind.FieldError] = []
    name = new["metadata"].get("name", "")
    if fault := names.address(name):
        errors.append(fields.invalid("metadata.name", name, fault))
    if not spec.get("pool"):
        errors.append(fields.required("spec.pool"))
    errors += _instance_errors(spec)
    for key in ("domain", "unitDomain"):
        if (value := spec.get(key)) and (fault := names.subdomain(value)):
            errors.append(fields.invalid(f"spec.{key}", value, fault))
    return errors


def _instance_errors(spec: kind.JsonObject) -> list[kind.FieldError]:
    """An address is some instance's, or reserved for nobody."""
    if spec.get("reserved") and not (spec.get("namespace") or spec.get("instance")):
        return []
    advice = "name whose it is, or set spec.reserved and neither namespace nor instance to keep it from everybody"
    return [fields.required(f"spec.{key}", advice) for key in ("namespace", "instance") if not spec.get(key)]


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
        columns=(
            kind.Column(name="Pool", path=".spec.pool", description="The pool that it is from."),
            kind.Column(name="Namespace", path=".spec.namespace", description="Namespace of the instance."),
            kind.Column(name="Instance", path=".spec.instance", description="Who has it."),
            kind.Column(
                name="Ready", type="boolean", path=".status.ready", description="Whether it is ready for work."
            ),
            kind.Column(name="Node", path=".status.node", description="The host where it is."),
            cells.AGE,
            kind.Column(name="Domain", path=".spec.domain", priority=1, description="Domain name of the instance."),
            kind.Column(name="Phase", path=".status.phase", priority=1, description="Bound, Held or Reserved."),
        ),
        validate=_validate,
    )

    spec: AddressSpec
    status: AddressStatus = msgspec.field(default_factory=AddressStatus)
