"""PodDisruptionBudget: how many of some Pods may be taken away at once (policy/v1)."""

import datetime
import re
from collections.abc import Callable
from typing import Annotated, ClassVar

import msgspec

from boxfleet.api import cells, fields, kind, meta

_PERCENT = re.compile(r"[0-9]+%")
_POLICIES = ("IfHealthyBudget", "AlwaysAllow")


class LabelSelectorRequirement(meta.Model):
    """One condition on a label."""

    key: Annotated[str, msgspec.Meta(description="The label's name.")] = ""
    operator: Annotated[str, msgspec.Meta(description="In, NotIn, Exists or DoesNotExist.")] = ""
    values: Annotated[list[str], msgspec.Meta(description="For In and NotIn: the values that are meant.")] = []


class LabelSelector(meta.Model):
    """Which objects, by their labels."""

    matchLabels: Annotated[dict[str, str], msgspec.Meta(description="Labels that must be there as they are.")] = {}
    matchExpressions: Annotated[
        list[LabelSelectorRequirement], msgspec.Meta(description="Conditions that must all hold.")
    ] = []


class BudgetSpec(meta.Model):
    """The Pods, and how many must stay or may go; a number or a share such as ``50%``."""

    selector: LabelSelector | None = None
    minAvailable: int | str | None = None
    maxUnavailable: int | str | None = None
    unhealthyPodEvictionPolicy: str = ""


class BudgetStatus(meta.Model, omit_defaults=False):
    """What is there and what may go."""

    disruptionsAllowed: int = 0
    currentHealthy: int = 0
    desiredHealthy: int = 0
    expectedPods: int = 0
    disruptedPods: dict[str, str] = {}
    conditions: list[meta.Condition] = []


def _validate(new: kind.JsonObject, old: kind.JsonObject | None) -> list[kind.FieldError]:
    spec = new.get("spec") or {}
    errors: list[kind.FieldError] = []
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        errors.append(fields.invalid("spec", "", "minAvailable and maxUnavailable cannot be both set"))
    for name in ("minAvailable", "maxUnavailable"):
        value = spec.get(name)
        if isinstance(value, int) and value < 0:
            errors.append(fields.invalid(f"spec.{name}", value, "must be greater than or equal to 0"))
        elif isinstance(value, str) and not _PERCENT.fullmatch(value):
            text = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%', or '93%')"
            errors.append(fields.invalid(f"spec.{name}", value, text))
        elif isinstance(value, str) and int(value[:-1]) > 100:
            errors.append(fields.invalid(f"spec.{name}", value, "must not be greater than 100%"))
    return errors + fields.one_of("spec.unhealthyPodEvictionPolicy", spec.get("unhealthyPodEvictionPolicy"), _POLICIES)


def _given(name: str) -> Callable[[kind.JsonObject, datetime.datetime], str]:
    def cell(obj: kind.JsonObject, now: datetime.datetime) -> str:
        value = (obj.get("spec") or {}).get(name)
        return str(value) if value is not None else "N/A"

    return cell


class PodDisruptionBudget(meta.Object, kw_only=True):
    """How many Pods evictions must leave."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group="policy",
        version="v1",
        kind="PodDisruptionBudget",
        plural="poddisruptionbudgets",
        singular="poddisruptionbudget",
        short_names=("pdb",),
        namespaced=True,
        model="policy_v1.PodDisruptionBudget",
        columns=(
            kind.Column(name="Min Available", cell=_given("minAvailable"), description="How many must stay."),
            kind.Column(name="Max Unavailable", cell=_given("maxUnavailable"), description="How many may be away."),
            kind.Column(
                name="Allowed Disruptions",
                type="integer",
                path=".status.disruptionsAllowed",
                description="How many may go now.",
            ),
            cells.AGE,
        ),
        validate=_validate,
        strategic=True,
        generations=True,
    )

    spec: BudgetSpec = msgspec.field(default_factory=BudgetSpec)
    status: BudgetStatus = msgspec.field(default_factory=BudgetStatus)
