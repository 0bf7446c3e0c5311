"""Defaults and validation of roles and bindings, as rbac.authorization.k8s.io/v1 has them."""

from typing import Any

from boxfleet.api import fields, kind, names, object_meta

GROUP = "rbac.authorization.k8s.io"
_SUBJECTS = ("ServiceAccount", "User", "Group")
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


def validate_role(new: kind.JsonObject, old: kind.JsonObject | None) -> list[kind.FieldError]:
    """A Role speaks of resources in its namespace."""
    return _rules(new, namespaced=True)


def validate_cluster_role(new: kind.JsonObject, old: kind.JsonObject | None) -> list[kind.FieldError]:
    """A ClusterRole may speak of paths too, and be gathered from others by their labels."""
    errors = _rules(new, namespaced=False)
    gathered = new.get("aggregationRule")
    if gathered is None:
        return errors
    path = "aggregationRule.clusterRoleSelectors"
    selectors = gathered.get("clusterRoleSelectors") or []
    if not selectors:
        errors.append(fields.required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil"))
    for number, selector in enumerate(selectors):
        errors += _selector(f"{path}[{number}]", selector)
    return errors


def default_binding(obj: kind.JsonObject) -> None:
    """Groups that are not said are the usual ones."""
    reference = obj.get("roleRef")
    if isinstance(reference, dict) and not reference.get("apiGroup"):
        reference["apiGroup"] = GROUP
    for subject in obj.get("subjects") or []:
        if not subject.get("apiGroup") and subject.get("kind") in ("User", "Group"):
            subject["apiGroup"] = GROUP


def validate_role_binding(new: kind.JsonObject, old: kind.JsonObject | None) -> list[kind.FieldError]:
    """It refers to a Role of its namespace or to a ClusterRole."""
    return _binding(new, old, roles=("ClusterRole", "Role"), namespaced=True)


def validate_cluster_role_binding(new: kind.JsonObject, old: kind.JsonObject | None) -> list[kind.FieldError]:
    """It refers to a ClusterRole."""
    return _binding(new, old, roles=("ClusterRole",), namespaced=False)


def name_fault(name: str) -> str | None:
    """What is wrong with the name of a role or binding: it is one segment of a path, such as ``system:node``."""
    if name in (".", ".."):
        return f"may not be '{name}'"
    found = [f"may not contain '{mark}'" for mark in "/%" if mark in name]
    return ", ".join(found) or None


def _rules(obj: kind.JsonObject, *, namespaced: bool) -> list[kind.FieldError]:
    errors = []
    for number, rule in enumerate(obj.get("rules") or []):
        errors += _rule(f"rules[{number}]", rule, namespaced=namespaced)
    return errors


def _rule(path: str, rule: dict[str, Any], *, namespaced: bool) -> list[kind.FieldError]:
    errors = []
    if not rule.get("verbs"):
        errors.append(fields.required(f"{path}.verbs", "verbs must contain at least one value"))
    urls = rule.get("nonResourceURLs")
    if urls:
        where = f"{path}.nonResourceURLs"
        if namespaced:
            errors.append(fields.invalid(where, urls, "namespaced rules cannot apply to non-resource URLs"))
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            detail = "rules cannot apply to both regular resources and non-resource URLs"
            errors.append(fields.invalid(where, urls, detail))
        return errors
    if not rule.get("apiGroups"):
        errors.append(fields.required(f"{path}.apiGroups", "resource rules must supply at least one api group"))
    if not rule.get("resources"):
        errors.append(fields.required(f"{path}.resources", "resource rules must supply at least one resource"))
    return errors


def _selector(path: str, selector: dict[str, Any]) -> list[kind.FieldError]:
    errors = object_meta.labels(f"{path}.matchLabels", selector.get("matchLabels"))
    for number, one in enumerate(selector.get("matchExpressions") or []):
        where = f"{path}.matchExpressions[{number}]"
        operator, values = one.get("operator"), one.get("values")
        if operator not in _OPERATORS:
            errors.append(fields.invalid(f"{where}.operator", operator, "not a valid selector operator"))
        elif operator in ("In", "NotIn") and not values:
            errors.append(fields.required(f"{where}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
        elif operator in ("Exists", "DoesNotExist") and values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            errors.append(fields.forbidden(f"{where}.values", detail))
        if fault := names.label_key(one.get("key") or ""):
            errors.append(fields.invalid(f"{where}.key", one.get("key"), fault))
    return errors


def _binding(
    new: kind.JsonObject, old: kind.JsonObject | None, *, roles: tuple[str, ...], namespaced: bool
) -> list[kind.FieldError]:
    reference = new.get("roleRef") or {}
    group, role, name = (reference.get(field) or "" for field in ("apiGroup", "kind", "name"))
    errors = fields.one_of("roleRef.apiGroup", group, (GROUP,))
    errors += fields.one_of("roleRef.kind", role, roles)
    if not name:
        errors.append(fields.required("roleRef.name"))
    elif fault := name_fault(name):
        errors.append(fields.invalid("roleRef.name", name, fault))
    for number, subject in enumerate(new.get("subjects") or []):
        errors += _subject(f"subjects[{number}]", subject, namespaced=namespaced)
    if old is not None and reference != old.get("roleRef"):
        # The value is shown as the real server shows it, since scripts look for these words.
        value = f'rbac.RoleRef{{APIGroup:"{group}", Kind:"{role}", Name:"{name}"}}'
        errors.append(fields.invalid_hidden("roleRef", f"{value}: cannot change roleRef"))
    return errors


def _subject(path: str, subject: dict[str, Any], *, namespaced: bool) -> list[kind.FieldError]:
    errors = []
    sort, name, group = (subject.get(field) or "" for field in ("kind", "name", "apiGroup"))
    if not name:
        errors.append(fields.required(f"{path}.name"))
    match sort:
        case "ServiceAccount":
            if name and (fault := names.subdomain(name)):
                errors.append(fields.invalid(f"{path}.name", name, fault))
            errors += fields.one_of(f"{path}.apiGroup", group, ("",))
            if not namespaced and not subject.get("namespace"):
                errors.append(fields.required(f"{path}.namespace"))
        case "User" | "Group":
            errors += fields.one_of(f"{path}.apiGroup", group, (GROUP,))
        case _:
            errors.append(fields.not_supported(f"{path}.kind", sort, _SUBJECTS))
    return errors
