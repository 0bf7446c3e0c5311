"""Defaults of and rules for NodePools."""

import re
from typing import Any

from boxfleet.api import fields, kind, labels, names, taints
from boxfleet.kit import quantity

# No path: what the API names must not lead to any other program.
_SCRIPT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}")
# What a host's labels may not say: whose it is.
_OURS = (labels.CLUSTER, labels.MIRRORED, labels.NODE_POOL, labels.HOSTNAME)
# Shown by kubectl get, and read by people who compare pools.
_DEFAULTS = {"min": 0, "order": 100, "price": 0.0}

Json = dict[str, Any]


def default(pool: kind.JsonObject) -> None:
    """What is shown beside what was said."""
    spec = pool.setdefault("spec", {})
    for name, value in _DEFAULTS.items():
        spec.setdefault(name, value)


def validate(new: Json, old: Json | None) -> list[kind.FieldError]:
    """A pool as it is written."""
    spec = new.get("spec") or {}
    errors: list[kind.FieldError] = []
    name = new["metadata"].get("name", "")
    if name and (fault := names.label(name)):
        errors.append(fields.invalid("metadata.name", name, fault))
    least, most = spec.get("min", 0), spec.get("max", 0)
    if least > most:
        errors.append(fields.invalid("spec.min", least, f"must not be more than spec.max, which is {most}"))
    errors += _provider(spec.get("provider") or {}, old)
    return errors + _template(spec.get("template") or {})


def _provider(provider: Json, old: Json | None) -> list[kind.FieldError]:
    errors: list[kind.FieldError] = []
    script = provider.get("script", "")
    if not script:
        errors.append(fields.required("spec.provider.script", "the name of a program in STATE/providers.d"))
    elif not _SCRIPT.fullmatch(script):
        detail = "must be the name of a program in STATE/providers.d, not a path"
        errors.append(fields.invalid("spec.provider.script", script, detail))
    before = ((old or {}).get("spec") or {}).get("provider") or {}
    machines = ((old or {}).get("status") or {}).get("machines")
    if machines and (before.get("type"), before.get("script")) != (provider.get("type"), provider.get("script")):
        detail = "cannot be changed while the pool has machines, which only the provider that made them can delete"
        errors.append(fields.forbidden("spec.provider", detail))
    return errors


def _template(template: Json) -> list[kind.FieldError]:
    errors: list[kind.FieldError] = []
    resources = template.get("resources") or {}
    for needed in ("cpu", "memory"):
        if needed not in resources:
            errors.append(fields.required(f"spec.template.resources.{needed}", "what such a host has for instances"))
    for resource, text in resources.items():
        at = f"spec.template.resources.{resource}"
        if not quantity.is_quantity(text) or quantity.parse(text) <= 0:
            errors.append(fields.invalid(at, text, "must be a quantity above 0, for example 4 or 16Gi"))
    for key, value in (template.get("labels") or {}).items():
        at = f"spec.template.labels[{key}]"
        if fault := names.label_key(key):
            errors.append(fields.invalid(at, key, fault))
        elif key in _OURS:
            errors.append(fields.forbidden(at, "is set by Boxfleet"))
        if fault := names.label_value(value):
            errors.append(fields.invalid(at, value, fault))
    if fault := names.label_value(template.get("zone", "")):
        errors.append(fields.invalid("spec.template.zone", template["zone"], fault))
    return errors + taints.taints(template.get("taints") or (), "spec.template.taints")
