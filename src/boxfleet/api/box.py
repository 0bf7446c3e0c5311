"""Box: an application environment made of Units."""

from typing import Annotated, ClassVar

import msgspec

from boxfleet.api import box_rules, cells, kind, meta, unit, unit_rules


class BoxSpec(meta.Model):
    """The wanted application."""

    units: Annotated[
        dict[str, unit.UnitTemplate],
        msgspec.Meta(description="The Units by name. A name is a DNS label and becomes part of every address."),
    ]


class UnitSummary(meta.Model, omit_defaults=False):
    """One Unit at a glance."""

    name: Annotated[str, msgspec.Meta(description="Name of the Unit in the Box.")]
    replicas: Annotated[int, msgspec.Meta(description="How many instances are wanted.")] = 0
    ready: Annotated[int, msgspec.Meta(description="How many instances are ready.")] = 0
    reason: Annotated[str, msgspec.Meta(description="Why it is not Ready, in a word.")] = ""


class BoxStatus(meta.Model):
    """What became of it."""

    observedGeneration: Annotated[int, msgspec.Meta(description="The generation that this status is about.")] = 0
    conditions: Annotated[
        list[meta.Condition], msgspec.Meta(description="Ready, Progressing, and why not.", extra=meta.keyed_by("type"))
    ] = []
    units: Annotated[
        list[UnitSummary], msgspec.Meta(description="Each Unit at a glance.", extra=meta.keyed_by("name"))
    ] = []
    ready: Annotated[str, msgspec.Meta(description="Units that are ready, of all: 2/3.")] = ""


def _default(obj: kind.JsonObject) -> None:
    for found in ((obj.get("spec") or {}).get("units") or {}).values():
        unit_rules.default(found)


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
        columns=(
            kind.Column(name="Ready", path=".status.ready", description="Units that are ready, of all."),
            cells.STATE,
            cells.AGE,
            cells.REASON,
        ),
        default=_default,
        validate=box_rules.validate,
        name_limit=63,
    )

    spec: BoxSpec
    status: BoxStatus = msgspec.field(default_factory=BoxStatus)
