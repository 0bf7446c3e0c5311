"""Lease: a sign of life, renewed by its holder."""

from typing import ClassVar

import msgspec

from boxfleet.api import cells, fields, kind, meta


class LeaseSpec(meta.Model):
    """Who holds it, and for how long."""

    holderIdentity: str = ""
    leaseDurationSeconds: int | None = None
    acquireTime: str | None = None
    renewTime: str | None = None
    leaseTransitions: int | None = None


def _validate(new: kind.JsonObject, old: kind.JsonObject | None) -> list[kind.FieldError]:
    """A Lease lasts some time, and its transitions only count up."""
    spec = new.get("spec") or {}
    errors = fields.between("spec.leaseDurationSeconds", spec.get("leaseDurationSeconds"), 1)
    return errors + fields.between("spec.leaseTransitions", spec.get("leaseTransitions"), 0)


class Lease(meta.Object, kw_only=True):
    """A sign of life of a node, or the office of a leader."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group="coordination.k8s.io",
        version="v1",
        kind="Lease",
        plural="leases",
        singular="lease",
        namespaced=True,
        model="coordination_v1.Lease",
        status=False,
        columns=(
            kind.Column(name="Holder", path=".spec.holderIdentity", description="Who holds it."),
            cells.AGE,
        ),
        validate=_validate,
        strategic=True,
    )

    spec: LeaseSpec = msgspec.field(default_factory=LeaseSpec)
