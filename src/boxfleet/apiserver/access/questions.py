"""What a review of access asks, read from its spec (authorization.k8s.io/v1)."""

from typing import Any

from boxfleet.api import fields, reviews
from boxfleet.api import kind as kinds
from boxfleet.apiserver import authn, authz

JsonObject = dict[str, Any]


def errors(kind: kinds.Kind, obj: JsonObject) -> list[kinds.FieldError]:
    """What is wrong with a review."""
    local = kind is reviews.LocalSubjectAccessReview.KIND
    found = []
    data = {key: value for key, value in (obj.get("metadata") or {}).items() if value and key != "managedFields"}
    if local:
        data.pop("namespace", None)
    if data:
        found.append(fields.invalid("metadata", data, "must be empty"))
    spec = obj.get("spec") or {}
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (resource is None) == (path is None):
        both = resource is not None
        detail = "cannot be specified in combination with resourceAttributes" if both else ""
        found.append(
            fields.invalid("spec.nonResourceAttributes", path, detail)
            if both
            else fields.invalid(
                "spec.resourceAttributes",
                None,
                "exactly one of nonResourceAttributes or resourceAttributes must be specified",
            )
        )
    if kind is not reviews.SelfSubjectAccessReview.KIND and not spec.get("user") and not spec.get("groups"):
        found.append(fields.invalid("spec.user", "", "at least one of user or group must be specified"))
    if local:
        if path is not None:
            found.append(fields.invalid("spec.nonResourceAttributes", path, "disallowed on this kind of request"))
        namespace = (obj.get("metadata") or {}).get("namespace", "")
        if resource is not None and resource.get("namespace") != namespace:
            found.append(
                fields.invalid(
                    "spec.resourceAttributes.namespace", resource.get("namespace"), "must match metadata.namespace"
                )
            )
    return found


def wish(spec: JsonObject) -> authz.Attributes:
    """What is asked about."""
    path = spec.get("nonResourceAttributes")
    if path is not None:
        return authz.Attributes(verb=path.get("verb", ""), path=path.get("path", ""))
    given = spec["resourceAttributes"]
    return authz.Attributes(
        verb=given.get("verb", ""),
        group=given.get("group", ""),
        resource=given.get("resource", ""),
        subresource=given.get("subresource", ""),
        namespace=given.get("namespace", ""),
        name=given.get("name", ""),
        fields=(given.get("fieldSelector") or {}).get("rawSelector", ""),
    )


def subject(spec: JsonObject) -> authn.User:
    """Whom is asked about; groups are taken as they are said."""
    extra = spec.get("extra") or {}
    return authn.User(
        name=spec.get("user", ""),
        groups=tuple(spec.get("groups") or ()),
        uid=spec.get("uid", ""),
        extra=tuple((key, tuple(values or ())) for key, values in sorted(extra.items())),
    )
