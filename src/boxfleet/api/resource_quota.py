"""ResourceQuota: how much of what a Namespace may hold."""

import datetime
from typing import Any, ClassVar

import msgspec

from boxfleet.api import cells, kind, meta, quota_rules


class ScopeRequirement(meta.Model):
    """One condition on Pods that the quota is about."""

    scopeName: str = ""
    operator: str = ""
    values: list[str] = []


class ScopeSelector(meta.Model):
    """All conditions must hold."""

    matchExpressions: list[ScopeRequirement] = []


class QuotaSpec(meta.Model):
    """The limits, and which Pods count."""

    hard: dict[str, str] = {}
    scopes: list[str] = []
    scopeSelector: ScopeSelector | None = None


class QuotaStatus(meta.Model):
    """The limits as they are enforced, and what counts against them."""

    hard: dict[str, str] = {}
    used: dict[str, str] = {}


def _share(*, limits: bool) -> Any:
    def cell(quota: kind.JsonObject, now: datetime.datetime) -> str:
        status = quota.get("status") or {}
        used = status.get("used") or {}
        hard = status.get("hard") or {}
        return ", ".join(
            f"{name}: {used.get(name, '0')}/{hard[name]}"
            for name in sorted(hard)
            if name.startswith("limits") == limits
        )

    return cell


class ResourceQuota(meta.Object, kw_only=True):
    """What the objects of a Namespace may ask for together."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group="",
        version="v1",
        kind="ResourceQuota",
        plural="resourcequotas",
        singular="resourcequota",
        short_names=("quota",),
        namespaced=True,
        model="core_v1.ResourceQuota",
        columns=(
            kind.Column(name="Request", cell=_share(limits=False), description="Used and allowed: requests, counts."),
            kind.Column(name="Limit", cell=_share(limits=True), description="Used and allowed: limits."),
            cells.AGE,
        ),
        default=quota_rules.default,
        validate=quota_rules.validate,
        strategic=True,
    )

    spec: QuotaSpec = msgspec.field(default_factory=QuotaSpec)
    status: QuotaStatus = msgspec.field(default_factory=QuotaStatus)
