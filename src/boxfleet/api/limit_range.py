"""LimitRange: what a container, a Pod or a claim may ask for, and asks for when it says nothing."""

from typing import Annotated, ClassVar

import msgspec

from boxfleet.api import kind, limit_rules, meta


class LimitItem(meta.Model):
    """The limits of one type: Container, Pod or PersistentVolumeClaim."""

    type: Annotated[str, msgspec.Meta(description="Container, Pod or PersistentVolumeClaim.")] = ""
    max: Annotated[dict[str, str], msgspec.Meta(description="The most, by resource.")] = {}
    min: Annotated[dict[str, str], msgspec.Meta(description="The least, by resource.")] = {}
    default: Annotated[
        dict[str, str], msgspec.Meta(description="Limits of a container that says none, by resource.")
    ] = {}
    defaultRequest: Annotated[
        dict[str, str], msgspec.Meta(description="Requests of a container that says none, by resource.")
    ] = {}
    maxLimitRequestRatio: Annotated[
        dict[str, str], msgspec.Meta(description="How many times its request a limit may be, by resource.")
    ] = {}


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
