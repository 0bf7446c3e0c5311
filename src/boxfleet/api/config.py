"""ConfigMap and Secret: settings for instances, plain and confidential."""

import base64
import binascii
import datetime
from typing import Any, ClassVar

import msgspec

from boxfleet.api import cells, fields, kind, meta, names

# All values together, as in Kubernetes.
SIZE_LIMIT = 1024 * 1024

# A Secret of this type holds a token of the ServiceAccount that the annotations name.
ACCOUNT_TOKEN = "kubernetes.io/service-account-token"  # noqa: S105  # a type
ACCOUNT_NAME = "kubernetes.io/service-account.name"
ACCOUNT_UID = "kubernetes.io/service-account.uid"

# Keys that a Secret of a type must have.
_SECRET_KEYS: dict[str, tuple[str, ...]] = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}

# Those that are JSON.
_DOCKER_KEYS = frozenset({".dockercfg", ".dockerconfigjson"})


def _validate_config_map(new: kind.JsonObject, old: kind.JsonObject | None) -> list[kind.FieldError]:
    texts, binaries = new.get("data") or {}, new.get("binaryData") or {}
    errors = _keys("data", texts)
    if binaries:
        errors += _keys("binaryData", binaries)
        errors += [
            fields.invalid_hidden(f"data[{key}]", "is in binaryData too: remove it from one of them")
            for key in texts
            if key in binaries
        ]
    if _is_too_large(texts, binaries):
        errors.append(fields.too_long("data", SIZE_LIMIT, "bytes"))
    return errors + _unchanged(new, old, "data", "binaryData")


def _is_too_large(texts: dict[str, str], binaries: dict[str, str]) -> bool:
    # Three bytes are four characters of base64.
    room = SIZE_LIMIT - sum([len(value) * 3 // 4 for value in binaries.values()]) if binaries else SIZE_LIMIT
    # No character has more than four bytes.
    if 4 * sum(map(len, texts.values())) <= room:
        return False
    return sum([len(value.encode()) for value in texts.values()]) > room


def _default_secret(obj: kind.JsonObject) -> None:
    """A Secret is Opaque unless it says otherwise."""
    obj["type"] = obj.get("type") or "Opaque"


def _validate_secret(new: kind.JsonObject, old: kind.JsonObject | None) -> list[kind.FieldError]:
    data = new.get("data") or {}
    errors = _keys("data", data)
    if sum(len(value) * 3 // 4 for value in data.values()) > SIZE_LIMIT:
        errors.append(fields.too_long("data", SIZE_LIMIT, "bytes"))
    type_ = new.get("type", "")
    errors += [
        fields.required(f"data[{key}]", f"a Secret of type {type_} has it")
        for key in _SECRET_KEYS.get(type_, ())
        if key not in data
    ]
    errors += [
        fields.invalid_hidden(f"data[{key}]", "must be the JSON of a Docker configuration, in base64")
        for key in _SECRET_KEYS.get(type_, ())
        if key in _DOCKER_KEYS and key in data and not _is_object(data[key])
    ]
    if type_ == "kubernetes.io/basic-auth" and not data.keys() & {"username", "password"}:
        errors.append(fields.required("data[username]", f"a Secret of type {type_} has a username or a password"))
    if type_ == ACCOUNT_TOKEN and not (new["metadata"].get("annotations") or {}).get(ACCOUNT_NAME):
        errors.append(fields.required(f"metadata.annotations[{ACCOUNT_NAME}]", "names the ServiceAccount"))
    if old is not None and old.get("type", "") != type_:
        errors.append(fields.invalid("type", type_, "field is immutable"))
    return errors + _unchanged(new, old, "data")


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(base64.b64decode(text)), dict)
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError):
        return False


def _keys(field: str, data: dict[str, Any]) -> list[kind.FieldError]:
    return [fields.invalid(f"{field}[{key}]", key, fault) for key in data if (fault := names.config_key(key))]


def _unchanged(new: kind.JsonObject, old: kind.JsonObject | None, *data: str) -> list[kind.FieldError]:
    """What is marked immutable stays so, and stays as it is."""
    if old is None or not old.get("immutable"):
        return []
    detail = "field is immutable when `immutable` is set"
    errors = [fields.forbidden(field, detail) for field in data if (new.get(field) or {}) != (old.get(field) or {})]
    return errors if new.get("immutable") else [fields.forbidden("immutable", detail), *errors]


def _count(obj: kind.JsonObject, now: datetime.datetime) -> int:
    return len(obj.get("data") or ()) + len(obj.get("binaryData") or ())


_DATA = kind.Column(name="Data", type="string", cell=_count, description="How many keys it has.")


class ConfigMap(meta.Object, kw_only=True):
    """Settings as text (`data`) and base64 (`binaryData`)."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group="",
        version="v1",
        kind="ConfigMap",
        plural="configmaps",
        singular="configmap",
        short_names=("cm",),
        namespaced=True,
        model="core_v1.ConfigMap",
        status=False,
        columns=(_DATA, cells.AGE),
        validate=_validate_config_map,
        strategic=True,
    )

    data: dict[str, str] = {}
    binaryData: dict[str, str] = {}


class Secret(meta.Object, kw_only=True):
    """Confidential settings; values are base64."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group="",
        version="v1",
        kind="Secret",
        plural="secrets",
        singular="secret",
        namespaced=True,
        model="core_v1.Secret",
        status=False,
        selectable=("type",),
        columns=(kind.Column(name="Type", path=".type", description="What the Secret is for."), _DATA, cells.AGE),
        default=_default_secret,
        validate=_validate_secret,
        strategic=True,
    )

    data: dict[str, str] = {}
    type: str = ""

    def __repr__(self) -> str:
        """Name the Secret, never its values: reprs end up in logs."""
        return f"Secret({self.key}, keys={sorted(self.data)})"
