"""Rules for the metadata of all objects."""

from collections.abc import Callable

from boxfleet.api import fields, kind, names

# All annotations of an object together, as in Kubernetes.
ANNOTATIONS_LIMIT = 256 * 1024

Validate = Callable[[kind.JsonObject, kind.JsonObject | None], list[kind.FieldError]]


def also(validate: Validate | None = None, *, name: names.NameCheck = names.subdomain) -> Validate:
    """A kind's own rules together with those for metadata; `name` is how its objects are named."""

    def both(new: kind.JsonObject, old: kind.JsonObject | None) -> list[kind.FieldError]:
        errors = _metadata(new.get("metadata") or {}, old, name)
        return errors + validate(new, old) if validate is not None else errors

    return both


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


def _metadata(metadata: kind.JsonObject, old: kind.JsonObject | None, name: names.NameCheck) -> list[kind.FieldError]:
    errors: list[kind.FieldError] = []
    own = metadata.get("name", "")
    # A stored name was good once and cannot change.
    if old is None:
        if not own:
            errors.append(fields.required("metadata.name", "set metadata.name or metadata.generateName"))
        elif fault := name(own):
            errors.append(fields.invalid("metadata.name", own, fault))
    errors += labels("metadata.labels", metadata.get("labels"))
    errors += annotations("metadata.annotations", metadata.get("annotations"))
    for index, finalizer in enumerate(metadata.get("finalizers") or []):
        if fault := names.label_key(finalizer):
            errors.append(fields.invalid(f"metadata.finalizers[{index}]", finalizer, fault))
    controllers = 0
    for index, owner in enumerate(metadata.get("ownerReferences") or []):
        path = f"metadata.ownerReferences[{index}]"
        errors += [fields.required(f"{path}.{key}") for key in ("apiVersion", "kind", "name", "uid") if not owner[key]]
        controllers += owner.get("controller") is True
    if controllers > 1:
        errors.append(
            fields.invalid_hidden("metadata.ownerReferences", "only one reference can have controller set to true")
        )
    return errors
