"""Rules for Pods and pod templates, with Kubernetes' field paths and reasons."""

import re
from collections.abc import Collection
from typing import Any

from boxfleet.api import container_rules, fields, kind, names, object_meta, taints, volume_rules

RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
# Looser than a host's name: services begin with underscores, and "." alone stands for no search.
_SEARCH = re.compile(r"[-_.a-z0-9]{1,253}")
_NODE_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
_AFFINITY = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"

_FEW_FIELDS = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)

Errors = list[kind.FieldError]
Json = dict[str, Any]


def validate(new: Json, old: Json | None) -> Errors:
    """A Pod as it is written."""
    if old is None:
        return _no_ephemeral(new.get("spec") or {}, "spec", "cannot be set on create") + spec(
            new.get("spec") or {}, "spec"
        )
    before, after = old.get("spec") or {}, new.get("spec") or {}
    if before == after:
        return []
    return _immutable(before, after) or spec(after, "spec")


def template(found: Json, path: str, *, claims: Collection[str] = ()) -> Errors:
    """A pod template that has its defaults; `claims` are volumes that come from volume claim templates."""
    metadata = found.get("metadata") or {}
    errors = object_meta.labels(f"{path}.metadata.labels", metadata.get("labels"))
    errors += object_meta.annotations(f"{path}.metadata.annotations", metadata.get("annotations"))
    errors += _no_ephemeral(found.get("spec") or {}, f"{path}.spec", "ephemeral containers not allowed in pod template")
    return errors + spec(found.get("spec") or {}, f"{path}.spec", claims=claims)


def _no_ephemeral(found: Json, path: str, detail: str) -> Errors:
    """They join a Pod that is there, and are no part of how it is wanted."""
    return [fields.forbidden(f"{path}.ephemeralContainers", detail)] if found.get("ephemeralContainers") else []


def spec(found: Json, path: str, *, claims: Collection[str] = ()) -> Errors:
    """A Pod's spec that has its defaults."""
    volumes = found.get("volumes") or ()
    errors = volume_rules.volumes(volumes, f"{path}.volumes")
    known = {volume.get("name", "") for volume in volumes} | set(claims)
    errors += container_rules.containers(found, path, volumes=known)
    errors += fields.one_of(f"{path}.restartPolicy", found.get("restartPolicy"), RESTART_POLICIES)
    errors += fields.one_of(f"{path}.dnsPolicy", found.get("dnsPolicy"), DNS_POLICIES)
    if found.get("dnsPolicy") == "None" and not (found.get("dnsConfig") or {}).get("nameservers"):
        errors.append(fields.required(f"{path}.dnsConfig.nameservers", "dnsPolicy None needs at least one"))
    errors += fields.between(f"{path}.terminationGracePeriodSeconds", found.get("terminationGracePeriodSeconds"), 0)
    errors += fields.between(f"{path}.activeDeadlineSeconds", found.get("activeDeadlineSeconds"), 1, 2**31 - 1)
    for key, check in (
        ("hostname", names.label), ("subdomain", names.label),
        ("nodeName", names.subdomain), ("serviceAccountName", names.subdomain),
    ):  # fmt: skip
        if (value := found.get(key)) and (fault := check(value)):
            errors.append(fields.invalid(f"{path}.{key}", value, fault))
    errors += object_meta.labels(f"{path}.nodeSelector", found.get("nodeSelector"))
    errors += taints.tolerations(found.get("tolerations") or (), f"{path}.tolerations")
    errors += _affinity((found.get("affinity") or {}).get("nodeAffinity") or {}, f"{path}.affinity.nodeAffinity")
    errors += container_rules.security(found.get("securityContext") or {}, f"{path}.securityContext")
    for index, alias in enumerate(found.get("hostAliases") or ()):
        errors += container_rules.ip(f"{path}.hostAliases[{index}].ip", alias.get("ip", ""))
        errors += [
            fields.invalid(f"{path}.hostAliases[{index}].hostnames[{at}]", name, fault)
            for at, name in enumerate(alias.get("hostnames") or ())
            if (fault := names.subdomain(name))
        ]
    errors += _dns_config(found.get("dnsConfig") or {}, f"{path}.dnsConfig")
    if gates := found.get("schedulingGates"):
        errors += _gates(gates, f"{path}.schedulingGates")
        if found.get("nodeName"):
            detail = "cannot be set until all schedulingGates have been cleared"
            errors.append(fields.forbidden(f"{path}.nodeName", detail))
    if found.get("shareProcessNamespace") and found.get("hostPID"):
        errors.append(
            fields.invalid(
                f"{path}.shareProcessNamespace", found["shareProcessNamespace"], "may not be set together with hostPID"
            )
        )
    return errors


def _gates(gates: Collection[Json], path: str) -> Errors:
    errors: Errors = []
    seen: set[str] = set()
    for index, gate in enumerate(gates):
        name = gate.get("name") or ""
        if fault := names.label_key(name):
            errors.append(fields.invalid(f"{path}[{index}].name", name, fault))
        if name in seen:
            errors.append(fields.duplicate(f"{path}[{index}]", name))
        seen.add(name)
    return errors


def _dns_config(config: Json, path: str) -> Errors:
    """All of it becomes lines of resolv.conf."""
    errors: Errors = []
    for index, server in enumerate(config.get("nameservers") or ()):
        errors += container_rules.ip(f"{path}.nameservers[{index}]", server)
    for index, search in enumerate(config.get("searches") or ()):
        if not _SEARCH.fullmatch(search):
            errors.append(fields.invalid(f"{path}.searches[{index}]", search, "must be a domain name"))
    for index, option in enumerate(config.get("options") or ()):
        for key in ("name", "value"):
            text = option.get(key) or ""
            if (key == "name" and not text) or any(not letter.isprintable() or letter.isspace() for letter in text):
                errors.append(fields.invalid(f"{path}.options[{index}].{key}", text, "must be one word"))
    return errors


def _affinity(affinity: Json, path: str) -> Errors:
    errors: Errors = []
    if (required := affinity.get(_AFFINITY)) is not None:
        terms = required.get("nodeSelectorTerms") or ()
        if not terms:
            errors.append(fields.required(f"{path}.{_AFFINITY}.nodeSelectorTerms", "must have at least one term"))
        for index, term in enumerate(terms):
            errors += _term(term, f"{path}.{_AFFINITY}.nodeSelectorTerms[{index}]")
    for index, preferred in enumerate(affinity.get(_PREFERRED) or ()):
        at = f"{path}.{_PREFERRED}[{index}]"
        errors += fields.between(f"{at}.weight", preferred.get("weight"), 1, 100)
        errors += _term(preferred.get("preference") or {}, f"{at}.preference")
    return errors


def _term(term: Json, path: str) -> Errors:
    errors: Errors = []
    for key in ("matchExpressions", "matchFields"):
        for index, expression in enumerate(term.get(key) or ()):
            at = f"{path}.{key}[{index}]"
            operator, values = expression.get("operator", ""), expression.get("values") or ()
            errors += fields.one_of(f"{at}.operator", operator, _NODE_OPERATORS)
            if fault := names.label_key(expression.get("key", "")):
                errors.append(fields.invalid(f"{at}.key", expression.get("key"), fault))
            if operator in ("In", "NotIn") and not values:
                errors.append(fields.required(f"{at}.values", "operator In or NotIn needs values"))
            if operator in ("Exists", "DoesNotExist") and values:
                errors.append(fields.forbidden(f"{at}.values", "operator Exists or DoesNotExist has no values"))
            if operator in ("Gt", "Lt") and len(values) != 1:
                errors.append(fields.required(f"{at}.values", "operator Gt or Lt needs exactly one value"))
    return errors


def _immutable(old: Json, new: Json) -> Errors:
    """Only a few fields of a Pod may change: what they say of both must then be the same."""
    errors: Errors = []
    for key in ("containers", "initContainers"):
        before, after = old.get(key) or (), new.get(key) or ()
        if len(before) != len(after):
            errors.append(fields.forbidden(f"spec.{key}", "pod updates may not add or remove containers"))
    errors += _only_joining(old.get("ephemeralContainers") or (), new.get("ephemeralContainers") or ())
    kept = [_lasting(toleration) for toleration in new.get("tolerations") or ()]
    if any(_lasting(toleration) not in kept for toleration in old.get("tolerations") or ()):
        detail = "existing toleration can not be modified except its tolerationSeconds"
        errors.append(fields.forbidden("spec.tolerations", detail))
    gates = {gate.get("name") for gate in old.get("schedulingGates") or ()}
    for index, gate in enumerate(new.get("schedulingGates") or ()):
        if (name := gate.get("name")) not in gates:
            detail = f"only deletion is allowed, but found new scheduling gate '{name}'"
            errors.append(fields.forbidden(f"spec.schedulingGates[{index}].name", detail))
    before_limit, after_limit = old.get("activeDeadlineSeconds"), new.get("activeDeadlineSeconds")
    if before_limit is not None and after_limit is None:
        detail = "must not update from a positive integer to nil value"
        errors.append(fields.invalid("spec.activeDeadlineSeconds", after_limit, detail))
    elif before_limit is not None and after_limit > before_limit:
        detail = "must be less than or equal to previous value"
        errors.append(fields.invalid("spec.activeDeadlineSeconds", after_limit, detail))
    if errors:
        return errors
    # Binding gives a Pod its node, once.
    free = () if old.get("nodeName") else ("nodeName",)
    changed = sorted(key for key in old.keys() | new.keys() if key not in free and _fixed(old, key) != _fixed(new, key))
    if not changed:
        return []
    listed = ", ".join(f"spec.{key}" for key in changed)
    return [fields.forbidden("spec", f"{_FEW_FIELDS}: changed: {listed}")]


def _only_joining(old: Collection[Json], new: Collection[Json]) -> Errors:
    """An ephemeral container stays as it came; by which door it may come is the API server's to say."""
    after = {container.get("name"): container for container in new}
    errors: Errors = []
    for container in old:
        name = container.get("name")
        if name not in after:
            detail = f'existing ephemeral containers "{name}" may not be removed'
            errors.append(fields.forbidden("spec.ephemeralContainers", detail))
        elif after[name] != container:
            detail = f'existing ephemeral containers "{name}" may not be changed'
            errors.append(fields.forbidden("spec.ephemeralContainers", detail))
    return errors


def _lasting(toleration: Json) -> Json:
    """What of a toleration must stay."""
    return {key: value for key, value in toleration.items() if key != "tolerationSeconds"}


def _fixed(found: Json, key: str) -> Any:
    """What of a field must stay as it is."""
    if key in ("activeDeadlineSeconds", "tolerations", "ephemeralContainers", "schedulingGates"):
        return None
    value = found.get(key)
    if key in ("containers", "initContainers"):
        return [container | {"image": ""} for container in value or ()]
    return value
