"""LimitRange: what a container, a Pod or a claim may ask for, and asks for when it says nothing."""

from typing import ClassVar

import msgspec

from boxfleet.api import kind, limit_rules, meta


class LimitItem(meta.Model):
    """The limits of one type: Container, Pod or PersistentVolumeClaim."""

    type: str = ""
    max: dict[str, str] = {}
    min: dict[str, str] = {}
    default: dict[str, str] = {}
    defaultRequest: dict[str, str] = {}
    maxLimitRequestRatio: dict[str, str] = {}


class LimitSpec(meta.Model):
    """The limits by type."""

    limits: list[LimitItem] = []


class LimitRange(meta.Object, kw_only=True):
    """Limits and defaults for every single container, Pod and claim of a Namespace."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group="",
        version="v1",
        kind="LimitRange",
        plural="limitranges",
        singular="limitrange",
        short_names=("limits",),
        namespaced=True,
        model="core_v1.LimitRange",
        status=False,
        columns=(
            kind.Column(name="Created At", path=".metadata.creationTimestamp", description="When it was created."),
        ),
        default=limit_rules.default,
        validate=limit_rules.validate,
        strategic=True,
    )

    spec: LimitSpec = msgspec.field(default_factory=LimitSpec)
