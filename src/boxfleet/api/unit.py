"""Unit: a replicated component of a Box."""

import datetime
import enum
from typing import Annotated, Any, ClassVar

import msgspec

from boxfleet.api import cells, coupling, kind, meta, placement_policy, pod, unit_rules


class DependsOnCondition(enum.StrEnum):
    """What must be so of the other Unit before this one starts."""

    STARTED = "Started"
    READY = "Ready"
    COMPLETED = "Completed"


class Dependency(meta.Model):
    """Another Unit of the same Box that comes first."""

    unit: Annotated[str, msgspec.Meta(description="Name of a Unit of the same Box.")]
    condition: Annotated[
        DependsOnCondition,
        msgspec.Meta(
            description="Started: all its instances run. Ready: all pass their probes. "
            "Completed: all ran to their end with exit code 0."
        ),
    ] = DependsOnCondition.READY


class File(meta.Model):
    """A file made from a template over the Box's facts and mounted into the instance."""

    path: Annotated[str, msgspec.Meta(description="Absolute path in the container.")]
    content: Annotated[
        str,
        msgspec.Meta(
            description="A Jinja2 template. Names: instance (name, ordinal, domain, address, namespace), box (name, "
            "namespace), unit (this Unit) and units.NAME, each with name, domain, replicas, ports.NAME and members "
            "(each with name, ordinal, domain, address). There are if, for, set, arithmetic and the usual filters."
        ),
    ]
    mode: Annotated[str, msgspec.Meta(description="Permission bits in octal.", pattern="^0?[0-7]{3}$")] = "0644"
    containers: Annotated[
        list[str], msgspec.Meta(description="Containers that get the file; all of them when empty.")
    ] = []


class UnitTemplate(meta.Model):
    """What a Box says about one Unit."""

    # Kept as it came, since it may say more than our own code reads; `pod_template` gives the typed view.
    template: Annotated[
        dict[str, Any],
        msgspec.Meta(
            description="The instance: a Kubernetes pod template.", extra={"model": "core_v1.PodTemplateSpec"}
        ),
    ]
    replicas: Annotated[int, msgspec.Meta(description="How many instances.", ge=0, le=10000)] = 1
    dependsOn: Annotated[
        list[Dependency],
        msgspec.Meta(
            description="Units that come first; instances are made when all hold.", extra=meta.keyed_by("unit")
        ),
    ] = []
    env: Annotated[
        dict[str, str],
        msgspec.Meta(
            description="Environment of every container that does not set the name itself; values are templates "
            "over the same facts as files."
        ),
    ] = {}
    files: Annotated[
        list[File], msgspec.Meta(description="Files rendered from the Box's facts.", extra=meta.keyed_by("path"))
    ] = []
    volumeClaimTemplates: Annotated[
        list[dict[str, Any]],
        msgspec.Meta(
            description="One claim per instance, named CLAIM-INSTANCE and usable in the template as a volume of "
            "that name. It survives the instance and is removed with the Unit.",
            extra={"model": "core_v1.PersistentVolumeClaim"},
        ),
    ] = []
    provides: Annotated[
        list[coupling.Provided],
        msgspec.Meta(
            description="Memory that its instances share with others on their host.", extra=meta.keyed_by("name")
        ),
    ] = []
    consumes: Annotated[
        list[coupling.Consumed],
        msgspec.Meta(
            description="Memory of others: instances run only on hosts where a ready instance provides it, and wait "
            "while there is none.",
            extra=meta.keyed_by("name"),
        ),
    ] = []
    placement: Annotated[
        placement_policy.PlacementPolicy, msgspec.Meta(description="Which Clusters may run it, and which it prefers.")
    ] = msgspec.field(default_factory=placement_policy.PlacementPolicy)

    def pod_template(self) -> pod.PodTemplateSpec:
        """The part of the template that our own code reads."""
        return msgspec.convert(self.template, pod.PodTemplateSpec)


class UnitSpec(UnitTemplate):
    """The wanted Unit: what its Box says of it, and which Box that is."""

    box: Annotated[str, msgspec.Meta(description="The Box it belongs to; empty for a Unit of its own.")] = ""


class UnitStatus(meta.Model):
    """What became of it."""

    observedGeneration: Annotated[int, msgspec.Meta(description="The generation that this status is about.")] = 0
    replicas: Annotated[int, msgspec.Meta(description="How many instances there are.")] = 0
    readyReplicas: Annotated[int, msgspec.Meta(description="How many of them are ready.")] = 0
    updatedReplicas: Annotated[int, msgspec.Meta(description="How many are of the newest revision.")] = 0
    selector: Annotated[str, msgspec.Meta(description="Label selector of its Pods, for the scale subresource.")] = ""
    domain: Annotated[str, msgspec.Meta(description="Domain name, which leads to all ready instances.")] = ""
    revision: Annotated[str, msgspec.Meta(description="Fingerprint of the newest instance template.")] = ""
    conditions: Annotated[
        list[meta.Condition],
        msgspec.Meta(description="Started, Ready, Completed, Progressing.", extra=meta.keyed_by("type")),
    ] = []


def _default(obj: kind.JsonObject) -> None:
    unit_rules.default(obj.setdefault("spec", {}))


def _ready(unit: kind.JsonObject, now: datetime.datetime) -> str:
    ready = (unit.get("status") or {}).get("readyReplicas") or 0
    return f"{ready}/{(unit.get('spec') or {}).get('replicas', 1)}"


def _updated(unit: kind.JsonObject, now: datetime.datetime) -> int:
    return (unit.get("status") or {}).get("updatedReplicas") or 0


class Unit(meta.Object, kw_only=True):
    """A replicated component: instances with stable names, addresses, domain names and data."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group=kind.GROUP,
        version=kind.VERSION,
        kind="Unit",
        plural="units",
        singular="unit",
        short_names=("un",),
        categories=("all", "boxfleet"),
        namespaced=True,
        scale=kind.Scale(),
        columns=(
            kind.Column(
                name="Ready",
                cell=_ready,
                path=".status.readyReplicas",
                description="Instances that are ready, of those wanted.",
            ),
            kind.Column(
                name="Up-To-Date",
                type="integer",
                cell=_updated,
                path=".status.updatedReplicas",
                description="Instances of the newest revision.",
            ),
            cells.STATE,
            kind.Column(name="Domain", path=".status.domain", description="Its domain name."),
            cells.AGE,
            cells.REASON,
        ),
        default=_default,
        validate=unit_rules.validate,
        name_limit=63,
    )

    spec: UnitSpec
    status: UnitStatus = msgspec.field(default_factory=UnitStatus)
