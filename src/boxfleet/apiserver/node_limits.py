"""What an agent may say of the objects that it may write, as Kubernetes' NodeRestriction admission does.

Authorization knows an object by its path; what stands in it is looked at here.
"""

from collections.abc import Iterable
from typing import Any

from boxfleet.api import kind as kinds
from boxfleet.api import labels
from boxfleet.apiserver import authn, authz, faults

JsonObject = dict[str, Any]

# What an agent knows of its host. Any other label could draw instances there that were not meant for it.
_OWN_LABELS = frozenset({labels.HOSTNAME, labels.ARCH, labels.OS, labels.INSTANCE_TYPE, labels.REGION, labels.ZONE})
_OWN_PREFIXES = (labels.HOST_FACTS, labels.HOST_SCRIPTS)


def check(
    user: authn.User, kind: kinds.Kind, new: JsonObject, old: JsonObject | None, *, subresource: str = ""
) -> None:
    """Raise Fault 403 for what an agent may not write; everybody else passes."""
    node = authz.node_of(user)
    if not node:
        return
    name = new["metadata"].get("name", "")
    if kind.qualified in ("nodes", "leases.coordination.k8s.io") and name != node:
        raise faults.forbidden(kind, name, f'node "{node}" may write its own only')
    if kind.qualified == "nodes":
        cause = _node_fault(new, old)
    elif old is None:
        cause = ""
    elif kind.qualified == "pods":
        cause = _metadata_fault(new, old, "labels", "annotations", "finalizers", "ownerReferences")
    elif kind.qualified == "persistentvolumeclaims":
        cause = _claim_fault(new, old, node)
    else:
        cause = ""
    if cause:
        raise faults.forbidden(kind, name, f'node "{node}" {cause}')


def _node_fault(new: JsonObject, old: JsonObject | None) -> str:
    after = new["metadata"].get("labels") or {}
    if old is None:
        # The cluster that it joins: who hands a token out for it decides that, and later nobody else than an admin.
        strange = _others(after) - {labels.CLUSTER}
        return f"may not give itself the label {min(strange)}" if strange else ""
    before = old["metadata"].get("labels") or {}
    changed = _others(key for key in after.keys() | before.keys() if after.get(key) != before.get(key))
    if changed:
        return f"may not change its label {min(changed)}"
    if (new.get("spec") or {}) != (old.get("spec") or {}):
        return "may not change its spec, such as taints"
    return _metadata_fault(new, old, "ownerReferences")


def _others(keys: Iterable[str]) -> set[str]:
    """Those of the labels that are not the host's own matter."""
    return {key for key in keys if key not in _OWN_LABELS and not key.startswith(_OWN_PREFIXES)}


def _claim_fault(new: JsonObject, old: JsonObject, node: str) -> str:
    if (new.get("spec") or {}) != (old.get("spec") or {}):
        return "may not change the spec of a claim"
    after, before = (each["metadata"].get("annotations") or {} for each in (new, old))
    for key in after.keys() | before.keys():
        if after.get(key) != before.get(key) and (key != labels.SELECTED_NODE or after.get(key) != node):
            return f"may not change the annotation {key} of a claim"
    return _metadata_fault(new, old, "labels", "ownerReferences")


def _metadata_fault(new: JsonObject, old: JsonObject, *fixed: str) -> str:
    for field in fixed:
        if (new["metadata"].get(field) or None) != (old["metadata"].get(field) or None):
            return f"may not change metadata.{field}"
    return ""
