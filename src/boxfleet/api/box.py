"""Box: an application environment made of Units."""

from typing import Annotated, ClassVar

import msgspec

from boxfleet.api import kind, meta, unit


class BoxSpec(meta.Model):
    """The wanted application."""

    units: Annotated[
        dict[str, unit.UnitTemplate],
        msgspec.Meta(description="The Units by name. A name is a DNS label and becomes part of every address."),
    ]


class UnitSummary(meta.Model, omit_defaults=False):
    """One Unit at a glance."""

    name: str
    replicas: int = 0
    ready: int = 0
    reason: str = ""


class BoxStatus(meta.Model):
    """What became of it."""

    observedGeneration: int = 0
    conditions: list[meta.Condition] = []
    units: list[UnitSummary] = []
    # "2/3": Units that are ready, for the table.
    ready: str = ""


class Box(meta.Object, kw_only=True):
    """An application environment: Units that belong together, delivered and removed as one."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group=kind.GROUP,
        version=kind.VERSION,
        kind="Box",
        plural="boxes",
        singular="box",
        short_names=("bx",),
        categories=("all", "boxfleet"),
        namespaced=True,
        name_limit=63,
    )

    spec: BoxSpec
    status: BoxStatus = msgspec.field(default_factory=BoxStatus)
