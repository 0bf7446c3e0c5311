"""Rules that Kubernetes ties to single standard kinds, all in one place.

Everything else in this package is the same for every kind.
"""

import base64
import dataclasses
import re
from typing import Any

from boxfleet.api import kind as kinds
from boxfleet.apiserver import faults

JsonObject = dict[str, Any]

KUBERNETES_FINALIZER = "kubernetes"
# The subresource of Pods through which containers join for a look.
EPHEMERAL = "ephemeralcontainers"
# They are there from the start and can never be deleted: without the last one no node could renew its Lease.
SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


def is_namespace(kind: kinds.Kind) -> bool:
    """Whether the kind is the one that others live in."""
    return not kind.group and kind.kind == "Namespace"


# What may be confidential: a Secret's values, and what an environment is given.
_SECRET_FIELD = re.compile(r"(data|stringData)\b.*")
_ENV_FIELD = re.compile(r".*\.env(\[[^]]*\]|\.).*")


def without_values(kind: kinds.Kind, errors: list[kinds.FieldError]) -> list[kinds.FieldError]:
    """Findings of the schema, with no word of a value that may be a secret: messages end up in logs of CI systems."""
    is_secret = not kind.group and kind.kind == "Secret"
    hidden = []
    for error in errors:
        confidential = _ENV_FIELD.fullmatch(error.field) or (is_secret and _SECRET_FIELD.fullmatch(error.field))
        start, mark, rest = error.message.rpartition(": must be ")
        if confidential and start.startswith("Invalid value: "):
            error = dataclasses.replace(error, message=f"Invalid value{mark}{rest}")
        hidden.append(error)
    return hidden


def is_definition(kind: kinds.Kind) -> bool:
    """Whether the kind is the one that makes others."""
    return kind.group == "apiextensions.k8s.io" and kind.plural == "customresourcedefinitions"


# Holds a CustomResourceDefinition until its objects are gone.
DEFINITION_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"


def registers_with_status(kind: kinds.Kind) -> bool:
    """Nodes register with their status; of all others it is dropped on creation."""
    return not kind.group and kind.kind == "Node"


def on_create(kind: kinds.Kind, obj: JsonObject) -> None:
    """Fill in what the server itself adds."""
    match kind.qualified:
        case "namespaces":
            obj.setdefault("spec", {})["finalizers"] = [KUBERNETES_FINALIZER]
            obj["status"] = {"phase": "Active"}
            _name_label(obj)
        case "customresourcedefinitions.apiextensions.k8s.io":
            obj["status"] = {"storedVersions": _storage_versions(obj)}
        case "secrets":
            _fold_secret(obj)


def on_update(kind: kinds.Kind, new: JsonObject, old: JsonObject) -> None:
    """Keep what only the server changes."""
    match kind.qualified:
        case "namespaces":
            new["spec"] = old.get("spec", {})
            _name_label(new)
        case "customresourcedefinitions.apiextensions.k8s.io":
            _keep_stored_versions(new)
        case "secrets":
            _fold_secret(new)


def update_errors(kind: kinds.Kind, new: JsonObject, old: JsonObject, *, subresource: str) -> list[kinds.FieldError]:
    """What of a Pod changes through a subresource alone.

    Its node by binding: who may change Pods could place them past the scheduler. Its ephemeral containers: a right of
    its own, for they may have more privileges than what they look into.
    """
    if kind.group or kind.kind != "Pod":
        return []
    return _joining_errors(new, old, subresource) + _placing_errors(new, old, subresource)


def _joining_errors(new: JsonObject, old: JsonObject, subresource: str) -> list[kinds.FieldError]:
    before, after = ((each.get("spec") or {}).get("ephemeralContainers") or [] for each in (old, new))
    if subresource == EPHEMERAL or before == after:
        return []
    return [
        kinds.FieldError(
            "spec.ephemeralContainers",
            "Forbidden: pod updates may not change it: ephemeral containers join through pods/ephemeralcontainers",
            kinds.Reason.FORBIDDEN,
        )
    ]


def _placing_errors(new: JsonObject, old: JsonObject, subresource: str) -> list[kinds.FieldError]:
    if subresource == "binding":
        return []
    if ((new.get("spec") or {}).get("nodeName") or "") == ((old.get("spec") or {}).get("nodeName") or ""):
        return []
    return [
        kinds.FieldError(
            "spec.nodeName",
            "Forbidden: pod updates may not change it: a Pod gets its node through pods/binding",
            kinds.Reason.FORBIDDEN,
        )
    ]


def on_delete(kind: kinds.Kind, obj: JsonObject) -> None:
    """Show in the object that it is going."""
    if is_namespace(kind):
        obj["status"] = {**obj.get("status", {}), "phase": "Terminating"}
    if is_definition(kind):
        held = obj["metadata"].get("finalizers") or []
        obj["metadata"]["finalizers"] = [one for one in held if one != DEFINITION_FINALIZER] + [DEFINITION_FINALIZER]


def check_delete(kind: kinds.Kind, name: str) -> None:
    """Refuse what must stay; raises Fault 403."""
    if is_namespace(kind) and name in SYSTEM_NAMESPACES:
        raise faults.forbidden(kind, name, "this namespace may not be deleted")


def holds(kind: kinds.Kind, obj: JsonObject) -> bool:
    """A Namespace stays until its content is gone and `spec.finalizers` is empty."""
    return is_namespace(kind) and bool(obj.get("spec", {}).get("finalizers"))


def _storage_versions(crd: JsonObject) -> list[str]:
    versions = (crd.get("spec") or {}).get("versions") or []
    return [each["name"] for each in versions if each.get("storage") and each.get("name")]


def _keep_stored_versions(crd: JsonObject) -> None:
    """Remember every version in which objects may be stored; only `status` takes one out, once none is left."""
    status = crd.setdefault("status", {})
    known = status.get("storedVersions") or []
    status["storedVersions"] = known + [name for name in _storage_versions(crd) if name not in known]


def _name_label(obj: JsonObject) -> None:
    labels = obj["metadata"].get("labels") or {}
    obj["metadata"]["labels"] = {**labels, "kubernetes.io/metadata.name": obj["metadata"]["name"]}


def _fold_secret(obj: JsonObject) -> None:
    """``stringData`` is for writing only: it goes into ``data``."""
    texts = obj.pop("stringData", None)
    if texts:
        data = obj.get("data") or {}
        obj["data"] = data | {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
    obj.setdefault("type", "Opaque")
