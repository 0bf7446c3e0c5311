"""What Kubernetes demands of metadata: names, labels, annotations, finalizers, owners (API type ObjectMeta)."""

import re
from typing import Any

from boxfleet.api import kind as kinds
from boxfleet.apiserver import faults

JsonObject = dict[str, Any]

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_QUALIFIED})?"
_is_label = re.compile(_LABEL).fullmatch
_is_subdomain = re.compile(_SUBDOMAIN).fullmatch
_is_qualified = re.compile(_QUALIFIED).fullmatch
_is_label_value = re.compile(_LABEL_VALUE).fullmatch

_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    f"an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    f"end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)
_QUALIFIED_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    f"character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_QUALIFIED}')"
)
_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    f"end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    f"'{_LABEL_VALUE}')"
)
# A prefix, a slash and a name.
_QUALIFIED_LIMIT = 253 + 1 + 63
ANNOTATIONS_LIMIT = 256 * 1024
# Kubernetes leaves room for five random characters in the shortest name limit.
GENERATED_PREFIX_LIMIT = 58

# Set by the server alone; what a client sends is dropped.
SYSTEM_FIELDS = frozenset({
    "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation",
    "managedFields", "selfLink",
})  # fmt: skip


def validate(kind: kinds.Kind, obj: JsonObject, *, stored: bool = False) -> list[kinds.FieldError]:
    """Everything wrong with the metadata of a schema-valid object that has its name; of a stored one it stays."""
    metadata = obj["metadata"]
    errors = []
    if not stored and (faults_ := name_faults(kind, metadata["name"])):
        errors += [_invalid("metadata.name", metadata["name"], text) for text in faults_]
    if labels := metadata.get("labels"):
        errors += _labels(labels)
    if annotations := metadata.get("annotations"):
        errors += _annotations(annotations)
    if finalizers := metadata.get("finalizers"):
        errors += _finalizers(kind, finalizers)
    if owners := metadata.get("ownerReferences"):
        errors += _owners(owners)
    return errors


def name_faults(kind: kinds.Kind, name: str) -> list[str]:
    """What is wrong with a name; kinds with the limit of a DNS label take no dots."""
    limit = kind.name_limit
    if len(name) > limit:
        # Not looked at further: the patterns below take time by the length.
        return [f"must be no more than {limit} characters"]
    if kind.name_fault is not None:
        fault = kind.name_fault(name)
        return [fault] if fault else []
    if limit <= 63:
        return [] if _is_label(name) else [_LABEL_TEXT]
    return [] if _is_subdomain(name) else [_SUBDOMAIN_TEXT]


def qualified_name_faults(name: str) -> list[str]:
    """What is wrong with a name that may carry a domain prefix, such as a label's key."""
    prefix, slash, short = name.rpartition("/")
    if len(name) > _QUALIFIED_LIMIT:
        return [f"must be no more than {_QUALIFIED_LIMIT} characters"]
    found = []
    if slash and "/" in prefix:
        return [f"a qualified name {_QUALIFIED_TEXT.removeprefix('name part ')} with an optional DNS subdomain prefix"]
    if slash and (not prefix or len(prefix) > 253 or _is_subdomain(prefix) is None):
        found.append(f"prefix part {_SUBDOMAIN_TEXT}" if prefix else "prefix part must be non-empty")
    if not short:
        found.append("name part must be non-empty")
    elif len(short) > 63:
        found.append("name part must be no more than 63 characters")
    if _is_qualified(short) is None:
        found.append(_QUALIFIED_TEXT)
    return found


def _labels(labels: dict[str, str]) -> list[kinds.FieldError]:
    errors = []
    for key, value in labels.items():
        errors += [_invalid("metadata.labels", key, text) for text in qualified_name_faults(key)]
        if len(value) > 63:
            errors.append(_invalid("metadata.labels", value, "must be no more than 63 characters"))
        elif _is_label_value(value) is None:
            errors.append(_invalid("metadata.labels", value, _VALUE_TEXT))
    return errors


def _annotations(annotations: dict[str, str]) -> list[kinds.FieldError]:
    errors = []
    for key in annotations:
        errors += [_invalid("metadata.annotations", key, text) for text in qualified_name_faults(key.lower())]
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > ANNOTATIONS_LIMIT:
        errors.append(
            kinds.FieldError(
                "metadata.annotations",
                f"Too long: may not be more than {ANNOTATIONS_LIMIT} bytes",
                kinds.Reason.TOO_LONG,
            )
        )
    return errors


def _finalizers(kind: kinds.Kind, finalizers: list[str]) -> list[kinds.FieldError]:
    errors = []
    for finalizer in finalizers:
        errors += [_invalid("metadata.finalizers", finalizer, text) for text in qualified_name_faults(finalizer)]
    if {FOREGROUND, ORPHAN} <= set(finalizers):
        errors.append(
            kinds.FieldError(
                "metadata.finalizers",
                f"Invalid value: {faults.shown(finalizers)}: finalizer {ORPHAN} and {FOREGROUND} cannot be both set",
            )
        )
    if kind.model and not kind.group.startswith("apiextensions"):
        # Of standard kinds alone, and not of definitions.
        errors += [
            _invalid(
                f"metadata.finalizers[{number}]",
                finalizer,
                "name is neither a standard finalizer name nor is it fully qualified",
            )
            for number, finalizer in enumerate(finalizers)
            if "/" not in finalizer and finalizer not in (FOREGROUND, ORPHAN, "kubernetes")
        ]
    return errors


def _owners(references: list[JsonObject]) -> list[kinds.FieldError]:
    errors = []
    for reference in references:
        for field, text in (
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ):
            if not reference.get(field):
                errors.append(_invalid(f"metadata.ownerReferences.{field}", reference.get(field, ""), text))
    controllers = [str(reference.get("name")) for reference in references if reference.get("controller")]
    if len(controllers) > 1:
        errors.append(
            _invalid(
                "metadata.ownerReferences",
                controllers[1],
                'Only one reference can have Controller set to true. Found "true" in references for '
                f"{controllers[0]} and {controllers[1]}",
            )
        )
    return errors


def _invalid(field: str, value: str, text: str) -> kinds.FieldError:
    return kinds.FieldError(field, f"Invalid value: {faults.shown(value)}: {text}")
