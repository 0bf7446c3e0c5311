"""Rules for labels and annotations wherever they stand: in templates, selectors and claims.

The metadata of objects themselves is checked by the API server, the same for every kind.
"""

from boxfleet.api import fields, kind, names

# All annotations of an object together, as in Kubernetes.
ANNOTATIONS_LIMIT = 256 * 1024


def labels(path: str, values: kind.JsonObject | None) -> list[kind.FieldError]:
    """Labels, or a node selector: keys and values."""
    errors: list[kind.FieldError] = []
    for key, value in (values or {}).items():
        if fault := names.label_key(key):
            errors.append(fields.invalid(path, key, fault))
        if fault := names.label_value(value):
            errors.append(fields.invalid(f"{path}[{key}]", value, fault))
    return errors


def annotations(path: str, values: kind.JsonObject | None) -> list[kind.FieldError]:
    """Annotations: keys, and the size of all together."""
    if not values:
        return []
    # Upper-case letters are allowed in the domain of an annotation.
    errors = [fields.invalid(path, key, fault) for key in values if (fault := names.label_key(key.lower()))]
    if sum(len(key) + len(value.encode()) for key, value in values.items()) > ANNOTATIONS_LIMIT:
        errors.append(fields.too_long(path, ANNOTATIONS_LIMIT, "bytes"))
    return errors
