"""What a CustomResourceDefinition may say: names, versions, subresources, columns, conversion.

Source: the API reference of apiextensions.k8s.io/v1 and the real server's messages.
"""

import base64
import binascii
import re
import urllib.parse
from typing import Any

from boxfleet.api import fields
from boxfleet.api import kind as kinds
from boxfleet.apiserver.custom import columns, jsonpath, schema_rules, structural

JsonObject = dict[str, Any]
Errors = list[kinds.FieldError]

_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
APPROVED = "api-approved.kubernetes.io"
_IMMUTABLE = "field is immutable"
_SELECTABLE_LIMIT = 8
_WARNING_LIMIT = 256
_NEWEST_FORMATS = ("int32", "int64", "float", "double", "byte", "date", "date-time", "password")


def default(crd: JsonObject) -> None:
    """Fill what follows from other fields."""
    spec = crd.get("spec") or {}
    names = spec.get("names") or {}
    kind = names.get("kind") or ""
    if kind and not names.get("singular"):
        names["singular"] = kind.lower()
    if kind and not names.get("listKind"):
        names["listKind"] = f"{kind}List"
    conversion = spec.setdefault("conversion", {})
    conversion.setdefault("strategy", "None")


def validate(crd: JsonObject, old: JsonObject | None) -> Errors:
    """Everything wrong with a definition; `old` is the stored one on updates."""
    spec = crd.get("spec") or {}
    names = spec.get("names") or {}
    found = _object_name(crd, spec, names)
    found += _group(crd, spec.get("group") or "")
    scope = spec.get("scope") or ""
    if scope not in ("Cluster", "Namespaced"):
        text = f'Unsupported value: "{scope}": supported values: "Cluster", "Namespaced"'
        found.append(
            kinds.FieldError("spec.scope", text, kinds.Reason.NOT_SUPPORTED) if scope else fields.required("spec.scope")
        )
    found += _names(names, "spec.names")
    if spec.get("preserveUnknownFields"):
        text = "must be false in order to use defaults in the schema and to prune objects"
        found.append(fields.invalid("spec.preserveUnknownFields", spec["preserveUnknownFields"], text))
    before = {each.get("name"): each for each in ((old or {}).get("spec") or {}).get("versions") or []}
    for number, version in enumerate(spec.get("versions") or []):
        found += _version(version, f"spec.versions[{number}]", before.get(version.get("name")))
    found += _versions(spec.get("versions") or [])
    found += _conversion(spec)
    found += _stored(crd)
    if old is not None:
        found += _changes(crd, old)
    return found


def _object_name(crd: JsonObject, spec: JsonObject, names: JsonObject) -> Errors:
    name = (crd.get("metadata") or {}).get("name") or ""
    if name == f"{names.get('plural') or ''}.{spec.get('group') or ''}":
        return []
    return [fields.invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')]


def _group(crd: JsonObject, group: str) -> Errors:
    if not group:
        return [fields.required("spec.group")]
    if len(group) > 253 or _SUBDOMAIN.fullmatch(group) is None:
        return [fields.invalid("spec.group", group, _SUBDOMAIN_TEXT)]
    if "." not in group:
        return [fields.invalid("spec.group", group, "should be a domain with at least one dot")]
    protected = group.endswith((".k8s.io", ".kubernetes.io")) or group in ("k8s.io", "kubernetes.io")
    annotations = (crd.get("metadata") or {}).get("annotations") or {}
    if protected and not annotations.get(APPROVED):
        text = (
            f'protected groups must have approval annotation "{APPROVED}", see '
            "https://github.com/kubernetes/enhancements/pull/1111"
        )
        return [fields.required(f"metadata.annotations[{APPROVED}]", text)]
    return []


def _label(path: str, value: str, *, mixed: bool = False) -> Errors:
    tested = value.lower() if mixed else value
    if len(value) > 63:
        return [fields.invalid(path, value, "must be no more than 63 characters")]
    if _LABEL.fullmatch(tested) is None:
        text = f"may have mixed case, but should otherwise match: {_LABEL_TEXT}" if mixed else _LABEL_TEXT
        return [fields.invalid(path, value, text)]
    return []


def _names(names: JsonObject, path: str) -> Errors:
    found: Errors = []
    for name, mixed in (("plural", False), ("singular", False), ("kind", True), ("listKind", True)):
        value = names.get(name) or ""
        found += _label(f"{path}.{name}", value, mixed=mixed) if value else [fields.required(f"{path}.{name}")]
    for listed in ("shortNames", "categories"):
        for number, value in enumerate(names.get(listed) or []):
            found += _label(f"{path}.{listed}[{number}]", value)
    if names.get("kind") and names.get("kind") == names.get("listKind"):
        found.append(fields.invalid(f"{path}.listKind", names["listKind"], "kind and listKind may not be the same"))
    return found


def _versions(versions: list[JsonObject]) -> Errors:
    if not versions:
        return [fields.required("spec.versions", "must have at least one version")]
    found: Errors = []
    listed = [str(each.get("name")) for each in versions]
    if len(set(listed)) < len(listed):
        found.append(fields.invalid("spec.versions", listed, "must contain unique version names"))
    if sum(bool(each.get("storage")) for each in versions) != 1:
        text = "must have exactly one version marked as storage version"
        found.append(fields.invalid("spec.versions", listed, text))
    return found


def _version(version: JsonObject, path: str, before: JsonObject | None) -> Errors:
    found = _label(f"{path}.name", version.get("name") or "")
    warning = version.get("deprecationWarning")
    if warning is not None:
        if not version.get("deprecated"):
            text = "can only be set for deprecated versions"
            found.append(fields.invalid(f"{path}.deprecationWarning", warning, text))
        if len(warning) > _WARNING_LIMIT or not warning.isprintable() or not warning:
            text = f"must be printable UTF-8 characters, at most {_WARNING_LIMIT} of them"
            found.append(fields.invalid(f"{path}.deprecationWarning", warning, text))
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    where = f"{path}.schema.openAPIV3Schema"
    if not isinstance(schema, dict):
        found.append(fields.required(where, "schemas are required"))
        schema = {}
    elif ((before or {}).get("schema") or {}).get("openAPIV3Schema") != schema:
        # What is stored was looked at when it came.
        wrong = structural.errors(schema, where)
        found += wrong or schema_rules.errors(schema, where)
    found += _subresources(version.get("subresources") or {}, f"{path}.subresources")
    found += _columns(version.get("additionalPrinterColumns") or [], f"{path}.additionalPrinterColumns")
    return found + _selectable(version.get("selectableFields") or [], schema, f"{path}.selectableFields")


def _subresources(parts: JsonObject, path: str) -> Errors:
    scale = parts.get("scale")
    if scale is None:
        return []
    found: Errors = []
    for name, roots, needed in (
        ("specReplicasPath", (".spec",), True),
        ("statusReplicasPath", (".status",), True),
        ("labelSelectorPath", (".status", ".spec"), False),
    ):
        value = scale.get(name) or ""
        if not value:
            if needed:
                found.append(fields.required(f"{path}.scale.{name}"))
            continue
        allowed = " or ".join(roots)
        if jsonpath.plain_fields(value) is None:
            text = "should be a json path without the array notation"
            found.append(fields.invalid(f"{path}.scale.{name}", value, text))
        elif not value.startswith(tuple(f"{root}." for root in roots)):
            found.append(fields.invalid(f"{path}.scale.{name}", value, f"should be a json path under {allowed}"))
    return found


def _columns(stated: list[JsonObject], path: str) -> Errors:
    found: Errors = []
    for number, column in enumerate(stated):
        where = f"{path}[{number}]"
        found += [fields.required(f"{where}.{name}") for name in ("name", "type", "jsonPath") if not column.get(name)]
        type_ = column.get("type")
        if type_ and type_ not in columns.TYPES:
            listed = ",".join(columns.TYPES)
            found.append(fields.invalid(f"{where}.type", type_, f"must be one of {listed}"))
        format_ = column.get("format")
        if format_ and format_ not in _NEWEST_FORMATS:
            found.append(fields.invalid(f"{where}.format", format_, f"must be one of {','.join(_NEWEST_FORMATS)}"))
        if column.get("jsonPath"):
            try:
                jsonpath.compile(column["jsonPath"])
            except jsonpath.PathError as error:
                found.append(fields.invalid(f"{where}.jsonPath", column["jsonPath"], str(error)))
    return found


def _selectable(stated: list[JsonObject], schema: JsonObject, path: str) -> Errors:
    found: Errors = []
    if len(stated) > _SELECTABLE_LIMIT:
        text = f"Too many: {len(stated)}: must have at most {_SELECTABLE_LIMIT} items"
        found.append(kinds.FieldError(path, text, kinds.Reason.TOO_MANY))
    seen = set()
    for number, field in enumerate(stated):
        where, value = f"{path}[{number}].jsonPath", field.get("jsonPath") or ""
        names = jsonpath.plain_fields(value)
        if not value:
            found.append(fields.required(where))
        elif names is None:
            found.append(fields.invalid(where, value, "must be a simple json path of fields, as .spec.color"))
        elif names[0] == "metadata":
            found.append(fields.invalid(where, value, "must not point to fields in metadata"))
        elif _type_at(schema, names) not in ("string", "boolean", "integer"):
            text = "must point to a field of type string, boolean or integer"
            found.append(fields.invalid(where, value, text))
        elif names in seen:
            found.append(kinds.FieldError(where, f'Duplicate value: "{value}"', kinds.Reason.DUPLICATE))
        seen.add(names)
    return found


def _type_at(schema: JsonObject, names: tuple[str, ...]) -> str:
    for name in names:
        schema = (schema.get("properties") or {}).get(name) or {}
    return schema.get("type") or ""


def _conversion(spec: JsonObject) -> Errors:
    conversion = spec.get("conversion") or {}
    strategy, path = conversion.get("strategy"), "spec.conversion"
    webhook = conversion.get("webhook")
    if strategy not in ("None", "Webhook"):
        text = f'Unsupported value: "{strategy}": supported values: "None", "Webhook"'
        return [kinds.FieldError(f"{path}.strategy", text, kinds.Reason.NOT_SUPPORTED)]
    if strategy == "None":
        text = "should not be set when strategy is not set to Webhook"
        return (
            []
            if webhook is None
            else [kinds.FieldError(f"{path}.webhook", f"Forbidden: {text}", kinds.Reason.FORBIDDEN)]
        )
    config = (webhook or {}).get("clientConfig")
    if config is None:
        return [fields.required(f"{path}.webhook.clientConfig", "required when strategy is set to Webhook")]
    reviews = (webhook or {}).get("conversionReviewVersions") or []
    found: Errors = []
    if not reviews:
        found.append(fields.required(f"{path}.webhook.conversionReviewVersions"))
    elif "v1" not in reviews:
        text = "must include v1, the version of ConversionReview that this server speaks"
        found.append(fields.invalid(f"{path}.webhook.conversionReviewVersions", reviews, text))
    return found + _client(config, f"{path}.webhook.clientConfig")


def _client(config: JsonObject, path: str) -> Errors:
    if config.get("service") is not None:
        text = "Forbidden: Services are not served here: set url, an https address that the server reaches"
        return [kinds.FieldError(f"{path}.service", text, kinds.Reason.FORBIDDEN)]
    url = config.get("url") or ""
    if not url:
        return [fields.required(f"{path}.url", "exactly one of url or service is required")]
    try:
        parts = urllib.parse.urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return [fields.invalid(f"{path}.url", url, f"url must be a valid URL: {error}")]
    found: Errors = []
    if parts.scheme != "https":
        found.append(
            fields.invalid(
                f"{path}.url", url, "'https' is the only allowed URL scheme; desired format: https://host[/path]"
            )
        )
    if not host:
        found.append(fields.invalid(f"{path}.url", url, "host must be specified; desired format: https://host[/path]"))
    if parts.username is not None:
        found.append(fields.invalid(f"{path}.url", host, "user information is not permitted in the URL"))
    if parts.query or parts.fragment:
        found.append(fields.invalid(f"{path}.url", url, "query parameters and fragments are not permitted in the URL"))
    bundle = config.get("caBundle")
    if bundle:
        try:
            base64.b64decode(bundle, validate=True)
        except (binascii.Error, ValueError):
            found.append(fields.invalid_hidden(f"{path}.caBundle", "must be PEM certificates in base64"))
    return found


def _stored(crd: JsonObject) -> Errors:
    """Nothing in the store may be of a version that nobody knows any more."""
    versions = (crd.get("spec") or {}).get("versions") or []
    names = [each.get("name") for each in versions]
    return [
        fields.invalid(
            f"status.storedVersions[{number}]", name, "missing from spec.versions; must be present in spec.versions"
        )
        for number, name in enumerate((crd.get("status") or {}).get("storedVersions") or [])
        if name not in names
    ]


def _changes(crd: JsonObject, old: JsonObject) -> Errors:
    new_spec, old_spec = crd["spec"], old["spec"]
    found: Errors = []
    if new_spec.get("group") != old_spec.get("group"):
        found.append(fields.invalid("spec.group", new_spec.get("group"), _IMMUTABLE))
    names, before = new_spec.get("names") or {}, old_spec.get("names") or {}
    if names.get("plural") != before.get("plural"):
        found.append(fields.invalid("spec.names.plural", names.get("plural"), _IMMUTABLE))
    conditions = (old.get("status") or {}).get("conditions") or []
    established = any(each.get("type") == "Established" and each.get("status") == "True" for each in conditions)
    if established and new_spec.get("scope") != old_spec.get("scope"):
        found.append(fields.invalid("spec.scope", new_spec.get("scope"), _IMMUTABLE))
    if established and names.get("kind") != before.get("kind"):
        found.append(fields.invalid("spec.names.kind", names.get("kind"), _IMMUTABLE))
    return found
