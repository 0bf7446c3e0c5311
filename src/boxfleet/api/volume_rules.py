"""Rules for the volumes of a Pod."""

from collections.abc import Collection
from typing import Any

from boxfleet.api import container_rules, coupling, fields, kind, names
from boxfleet.kit import quantity

_HOST_PATH_TYPES = (
    "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket",
)  # fmt: skip
# Seconds.
_SHORTEST_TOKEN = 600

Errors = list[kind.FieldError]
Json = dict[str, Any]


def volumes(found: Collection[Json], path: str) -> Errors:
    """Volumes: unique names, exactly one source each."""
    errors: Errors = []
    seen: set[str] = set()
    for index, volume in enumerate(found):
        at = f"{path}[{index}]"
        name = volume.get("name", "")
        if not name:
            errors.append(fields.required(f"{at}.name"))
        elif fault := names.label(name):
            errors.append(fields.invalid(f"{at}.name", name, fault))
        elif name in seen:
            errors.append(fields.duplicate(f"{at}.name", name))
        seen.add(name)
        sources = [key for key in volume if key != "name"]
        if not sources:
            errors.append(fields.required(at, "must have a source, for example emptyDir"))
        errors += [
            fields.forbidden(f"{at}.{key}", f"a volume has one source, and this one has {sources[0]}")
            for key in sources[1:]
        ]
        errors += _source(volume, at)
    return errors


def _source(volume: Json, at: str) -> Errors:
    errors: Errors = []
    for key, name_key in (("configMap", "name"), ("secret", "secretName"), ("persistentVolumeClaim", "claimName")):
        if (source := volume.get(key)) is None:
            continue
        if not source.get(name_key):
            errors.append(fields.required(f"{at}.{key}.{name_key}"))
        errors += _items(source, f"{at}.{key}")
    if (source := volume.get("hostPath")) is not None:
        where = source.get("path", "")
        if not where:
            errors.append(fields.required(f"{at}.hostPath.path"))
        elif ".." in where.split("/"):
            errors.append(fields.invalid(f"{at}.hostPath.path", where, "must not contain '..'"))
        errors += fields.one_of(f"{at}.hostPath.type", source.get("type"), _HOST_PATH_TYPES)
    if (source := volume.get("emptyDir")) is not None:
        limit = source.get("sizeLimit")
        if limit is not None and quantity.parse(limit) < 0:
            errors.append(fields.invalid(f"{at}.emptyDir.sizeLimit", limit, "must be greater than or equal to 0"))
    if (source := volume.get("downwardAPI")) is not None:
        errors += _downward(source, f"{at}.downwardAPI")
    if (source := volume.get("projected")) is not None:
        errors += _projected(source, f"{at}.projected")
    if (source := volume.get("csi")) is not None and source.get("driver") == coupling.DRIVER:
        errors += coupling.attributes(source.get("volumeAttributes") or {}, f"{at}.csi.volumeAttributes")
    return errors


def _projected(source: Json, at: str) -> Errors:
    errors = fields.between(f"{at}.defaultMode", source.get("defaultMode"), 0, 0o777)
    paths: set[str] = set()
    for index, part in enumerate(source.get("sources") or ()):
        here = f"{at}.sources[{index}]"
        found = [key for key, value in part.items() if value is not None]
        if len(found) > 1:
            errors.append(fields.forbidden(here, "may not specify more than 1 volume type"))
        for key in ("configMap", "secret"):
            if (given := part.get(key)) is not None:
                if not given.get("name"):
                    errors.append(fields.required(f"{here}.{key}.name"))
                errors += _items(given, f"{here}.{key}")
        if (given := part.get("downwardAPI")) is not None:
            errors += _downward(given, f"{here}.downwardAPI")
        if (given := part.get("serviceAccountToken")) is not None:
            errors += _token(given, f"{here}.serviceAccountToken")
        for path in _paths(part):
            if path in paths:
                errors.append(fields.invalid(f"{here}.path", path, "conflicting duplicate paths"))
            paths.add(path)
    return errors


def _paths(part: Json) -> list[str]:
    """The files that a part of a projected volume names."""
    items = [
        item for key in ("configMap", "secret", "downwardAPI") for item in (part.get(key) or {}).get("items") or ()
    ]
    named = [item.get("path", "") for item in (*items, part.get("serviceAccountToken") or {})]
    return [path for path in named if path]


def _token(source: Json, at: str) -> Errors:
    """Kubernetes' own bounds of a token's life."""
    errors: Errors = []
    seconds = source.get("expirationSeconds")
    if seconds is not None and seconds < _SHORTEST_TOKEN:
        errors.append(
            fields.invalid(f"{at}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
        )
    elif seconds is not None and seconds > 2**32:
        errors.append(
            fields.invalid(f"{at}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds")
        )
    if not source.get("path"):
        return [*errors, fields.required(f"{at}.path")]
    return errors + container_rules.relative(f"{at}.path", source["path"])


def _items(source: Json, at: str) -> Errors:
    errors = fields.between(f"{at}.defaultMode", source.get("defaultMode"), 0, 0o777)
    for index, item in enumerate(source.get("items") or ()):
        here = f"{at}.items[{index}]"
        if not item.get("key"):
            errors.append(fields.required(f"{here}.key"))
        errors += _file(item, here)
    return errors


def _downward(source: Json, at: str) -> Errors:
    errors = fields.between(f"{at}.defaultMode", source.get("defaultMode"), 0, 0o777)
    for index, item in enumerate(source.get("items") or ()):
        here = f"{at}.items[{index}]"
        errors += _file(item, here)
        refs = [key for key in ("fieldRef", "resourceFieldRef") if item.get(key) is not None]
        if len(refs) != 1:
            errors.append(fields.required(here, "must have one of fieldRef, resourceFieldRef"))
        elif refs == ["fieldRef"]:
            errors += container_rules.field_ref(item["fieldRef"], f"{here}.fieldRef", whole_tables=True)
    return errors


def _file(item: Json, at: str) -> Errors:
    errors = fields.between(f"{at}.mode", item.get("mode"), 0, 0o777)
    if not item.get("path"):
        return [*errors, fields.required(f"{at}.path")]
    return errors + container_rules.relative(f"{at}.path", item["path"])
