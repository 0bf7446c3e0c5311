"""HorizontalPodAutoscaler (autoscaling/v2, and v1 beside it): how many replicas something shall have.

The objects are kept and checked; nothing acts on them yet, which their conditions say.
"""

import datetime
from typing import Any, ClassVar

import msgspec

from boxfleet.api import cells, fields, kind, meta

_CPU = "cpu"
# Kubernetes' own: 80 % of the requested CPU.
_USUAL = 80


class AutoscalerStatus(meta.Model):
    """What is said of it."""

    conditions: list[meta.Condition] = []


def _cpu(share: int) -> kind.JsonObject:
    return {
        "type": "Resource",
        "resource": {"name": _CPU, "target": {"type": "Utilization", "averageUtilization": share}},
    }


def _default(obj: kind.JsonObject) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        spec["metrics"] = [_cpu(_USUAL)]


def _validate(new: kind.JsonObject, old: kind.JsonObject | None) -> list[kind.FieldError]:
    spec = new.get("spec") or {}
    least, most = spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
    errors = fields.between("spec.minReplicas", least, 1)
    if most < 1:
        errors.append(fields.invalid("spec.maxReplicas", most, "must be greater than 0"))
    elif most < least:
        errors.append(fields.invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"))
    target = spec.get("scaleTargetRef") or {}
    errors += [fields.required(f"spec.scaleTargetRef.{name}") for name in ("kind", "name") if not target.get(name)]
    for index, metric in enumerate(spec.get("metrics") or ()):
        errors += _metric(f"spec.metrics[{index}]", metric)
    return errors


_SOURCES = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}


def _metric(path: str, metric: kind.JsonObject) -> list[kind.FieldError]:
    sort = metric.get("type") or ""
    if not sort:
        return [fields.required(f"{path}.type", "must specify a metric source type")]
    if sort not in _SOURCES:
        return [fields.not_supported(f"{path}.type", sort, sorted(_SOURCES))]
    if not metric.get(_SOURCES[sort]):
        return [fields.required(f"{path}.{_SOURCES[sort]}", "must populate information for the given metric source")]
    return []


def _reference(obj: kind.JsonObject, now: datetime.datetime) -> str:
    target = (obj.get("spec") or {}).get("scaleTargetRef") or {}
    return f"{target.get('kind', '')}/{target.get('name', '')}"


def _targets(obj: kind.JsonObject, now: datetime.datetime) -> str:
    found = []
    for metric in (obj.get("spec") or {}).get("metrics") or ():
        source: dict[str, Any] = metric.get(_SOURCES.get(metric.get("type", ""), "")) or {}
        target = source.get("target") or {}
        name = source.get("name") or (source.get("metric") or {}).get("name", "")
        share = target.get("averageUtilization")
        wanted = f"{share}%" if share is not None else target.get("averageValue") or target.get("value") or ""
        found.append(f"{name}: <unknown>/{wanted}")
    return ", ".join(found) or cells.NONE


class HorizontalPodAutoscaler(meta.Object, kw_only=True):
    """How many replicas something shall have, by what is measured."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group="autoscaling",
        version="v2",
        kind="HorizontalPodAutoscaler",
        plural="horizontalpodautoscalers",
        singular="horizontalpodautoscaler",
        short_names=("hpa",),
        namespaced=True,
        model="autoscaling_v2.HorizontalPodAutoscaler",
        columns=(
            kind.Column(name="Reference", cell=_reference, description="What is scaled."),
            kind.Column(name="Targets", cell=_targets, description="What is measured, and what it shall be."),
            kind.Column(name="MinPods", type="string", path=".spec.minReplicas", description="The fewest replicas."),
            kind.Column(name="MaxPods", type="integer", path=".spec.maxReplicas", description="The most replicas."),
            kind.Column(
                name="Replicas",
                type="integer",
                cell=lambda obj, now: (obj.get("status") or {}).get("currentReplicas", 0),
                description="How many there are.",
            ),
            cells.AGE,
        ),
        default=_default,
        validate=_validate,
        strategic=True,
    )

    status: AutoscalerStatus = msgspec.field(default_factory=AutoscalerStatus)


# What version 1 cannot say, as Kubernetes keeps it there.
_REST = "autoscaling.alpha.kubernetes.io/v2"


def _up(obj: kind.JsonObject) -> kind.JsonObject:
    """An object of v1 in v2."""
    obj["apiVersion"] = "autoscaling/v2"
    spec = obj.get("spec") or {}
    share = spec.pop("targetCPUUtilizationPercentage", None)
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    rest = annotations.pop(_REST, None)
    kept: kind.JsonObject = {}
    if isinstance(rest, str):
        try:
            kept = msgspec.json.decode(rest, type=dict)
        except msgspec.DecodeError:
            kept = {}
    if not annotations and "metadata" in obj:
        obj["metadata"].pop("annotations", None)
    metrics = list(kept.get("metrics") or [])
    if share is not None:
        metrics.insert(int(kept.get("at", 0)), _cpu(share))
    if metrics:
        spec["metrics"] = metrics
    if "behavior" in kept:
        spec["behavior"] = kept["behavior"]
    if "status" in kept:
        obj["status"] = kept["status"]
    elif "status" in obj:
        obj["status"].pop("currentCPUUtilizationPercentage", None)
    return obj


def _down(obj: kind.JsonObject) -> kind.JsonObject:
    """An object of v2 in v1; what v1 has no field for is kept in an annotation."""
    obj["apiVersion"] = "autoscaling/v1"
    spec = obj.get("spec") or {}
    metrics = spec.pop("metrics", None) or []
    kept: kind.JsonObject = {}
    for index, metric in enumerate(metrics):
        share = ((metric.get("resource") or {}).get("target") or {}).get("averageUtilization")
        if share is not None and metric == _cpu(share):
            spec["targetCPUUtilizationPercentage"] = share
            metrics = metrics[:index] + metrics[index + 1 :]
            if metrics and index:
                kept["at"] = index
            break
    if metrics:
        kept["metrics"] = metrics
    if "behavior" in spec:
        kept["behavior"] = spec.pop("behavior")
    if status := obj.get("status"):
        kept["status"] = status
        plain = {name: status[name] for name in _PLAIN if name in status}
        obj["status"] = {"currentReplicas": 0, "desiredReplicas": 0, **plain}
    if kept:
        data = obj["metadata"]
        data["annotations"] = {**(data.get("annotations") or {}), _REST: msgspec.json.encode(kept).decode()}
    return obj


_PLAIN = ("currentReplicas", "desiredReplicas", "lastScaleTime", "observedGeneration")

OLDER = (
    kind.Older(
        kind=HorizontalPodAutoscaler.KIND,
        version="v1",
        model="autoscaling_v1.HorizontalPodAutoscaler",
        up=_up,
        down=_down,
        deprecated=False,
    ),
)
