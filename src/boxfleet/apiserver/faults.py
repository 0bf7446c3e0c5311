"""Failures as Kubernetes words them: one exception that carries a ``Status`` (API type meta/v1 Status).

Clients act on reason, message and details, so the texts follow the real server's.
"""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from boxfleet.api import kind as kinds

# What a message may begin with when whoever found the error already worded it as Kubernetes does.
_WORDED = re.compile(
    "(Required value|Invalid value|Duplicate value|Unsupported value|Forbidden|"
    "Not found|Too long|Too many|Internal error)"
)
_STEP = re.compile(r"([^.\[\]]+)|\[([^\]]*)\]")
_SHOWN_CHARACTERS = 256


class Fault(Exception):
    """A request fails with this Status."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: dict[str, Any] | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.headers = headers
        # The Status' own metadata: an expired list carries a token to go on with.
        self.metadata: dict[str, Any] = {}

    def status(self) -> dict[str, Any]:
        """The body of the answer."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.metadata,
            "status": "Failure",
            "message": self.message,
            **({"reason": self.reason} if self.reason else {}),
            **({"details": self.details} if self.details is not None else {}),
            "code": self.code,
        }


def success(kind: kinds.Kind, *, name: str, uid: str) -> dict[str, Any]:
    """The Status that answers a finished deletion."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {"name": name, **({"group": kind.group} if kind.group else {}), "kind": kind.plural, "uid": uid},
    }


def bad_request(message: str) -> Fault:
    """400: the request itself makes no sense."""
    return Fault(400, "BadRequest", message)


def unauthorized(message: str = "Unauthorized") -> Fault:
    """401: nobody is known by that token, or there is none."""
    return Fault(401, "Unauthorized", message)


def no_such_path() -> Fault:
    """404: no route."""
    return Fault(404, "NotFound", "the server could not find the requested resource", details={})


def method_not_allowed() -> Fault:
    """405: the path is there, the method is not."""
    return Fault(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", details={})


def not_acceptable(accepted: Sequence[str]) -> Fault:
    """406: none of the wanted media types can be made, or only forms of them that are not named."""
    if not accepted:
        return Fault(406, "NotAcceptable", "406: Not Acceptable", details={})
    return Fault(406, "NotAcceptable", f"only the following media types are accepted: {', '.join(accepted)}")


def unsupported_media_type(accepted: Sequence[str]) -> Fault:
    """415: the body's type is not understood."""
    return Fault(
        415,
        "UnsupportedMediaType",
        f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}",
    )


def unread_field(message: str, number: int) -> Fault:
    """415: a body in protobuf form has a field that is not read from it."""
    return Fault(
        415,
        "UnsupportedMediaType",
        f"the body of the request has a field that is read from application/json alone: number {number} of {message}",
    )


def unsupported_patch() -> Fault:
    """415: the body is no patch that is understood."""
    return Fault(415, "UnsupportedMediaType", "415: Unsupported Media Type", details={})


def too_large(limit: int) -> Fault:
    """413: the body exceeds the limit."""
    return Fault(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit}")


def not_found(kind: kinds.Kind, name: str) -> Fault:
    """404: there is no such object."""
    return Fault(404, "NotFound", f'{kind.qualified} "{name}" not found', details=_details(kind, name))


def already_exists(kind: kinds.Kind, name: str) -> Fault:
    """409: the name is taken."""
    return Fault(409, "AlreadyExists", f'{kind.qualified} "{name}" already exists', details=_details(kind, name))


def name_exhausted(kind: kinds.Kind, prefix: str) -> Fault:
    """409: no generated name was free."""
    return Fault(
        409,
        "AlreadyExists",
        f'{kind.qualified} "{prefix}" already exists, the server was not able to generate a unique name for the object',
        details=_details(kind, prefix) | {"retryAfterSeconds": 1},
    )


def conflict(kind: kinds.Kind, name: str, cause: str) -> Fault:
    """409: the object is not as the client thinks."""
    return Fault(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on {kind.qualified} "{name}": {cause}',
        details=_details(kind, name),
    )


def precondition(kind: kinds.Kind, name: str, cause: str) -> Fault:
    """409: the object is not the one that is meant. Kubernetes names the kind here, where it else says the plural."""
    details = _details(kind, name) | {"kind": kind.kind}
    return Fault(409, "Conflict", f'Operation cannot be fulfilled on {_typed(kind)} "{name}": {cause}', details=details)


def modified(kind: kinds.Kind, name: str) -> Fault:
    """409: the object changed since it was read."""
    return conflict(
        kind,
        name,
        "the object has been modified; please apply your changes to the latest version and try again",
    )


def apply_conflict(causes: Sequence[tuple[str, str]]) -> Fault:
    """409: an apply would change fields of other managers; causes are pairs of manager and field."""
    details = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {manager}", "field": field}
        for manager, field in causes
    ]
    if len(causes) == 1:
        text = f"1 conflict: conflict with {causes[0][0]}: {causes[0][1]}"
    else:
        by_manager: dict[str, list[str]] = {}
        for manager, field in causes:
            by_manager.setdefault(manager, []).append(f"- {field}")
        parts = [f"conflicts with {manager}:\n" + "\n".join(fields) for manager, fields in by_manager.items()]
        text = f"{len(causes)} conflicts: " + "\n".join(parts)
    return Fault(409, "Conflict", f"Apply failed with {text}", details={"causes": details})


def untyped(kind: kinds.Kind, obj: dict[str, Any], cause: str) -> Fault:
    """400: what is applied does not fit the schema; the real server answers 500 in the same words."""
    metadata = obj.get("metadata") or {}
    where = "/".join(str(metadata[key]) for key in ("namespace", "name") if metadata.get(key))
    return bad_request(f"failed to create typed patch object ({where}; {kind.api_version}, Kind={kind.kind}): {cause}")


def forbidden(kind: kinds.Kind, name: str, cause: str, *, causes: Sequence[dict[str, str]] = ()) -> Fault:
    """403: a rule of the server is against it."""
    details = _details(kind, name) | ({"causes": list(causes)} if causes else {})
    return Fault(403, "Forbidden", f'{kind.qualified} "{name}" is forbidden: {cause}', details=details)


def expired(message: str) -> Fault:
    """410: that history is gone."""
    return Fault(410, "Expired", message)


def too_large_revision(wanted: int, current: int) -> Fault:
    """504: a revision from the future."""
    return Fault(
        504,
        "Timeout",
        f"Too large resource version: {wanted}, current: {current}",
        details={
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        },
    )


def unavailable(cause: str) -> Fault:
    """503: not now."""
    return Fault(503, "ServiceUnavailable", cause, details={"retryAfterSeconds": 1}, headers=(("retry-after", "1"),))


def too_many_requests(cause: str) -> Fault:
    """429: later."""
    return Fault(
        429,
        "TooManyRequests",
        f"too many requests, please try again later: {cause}",
        details={"retryAfterSeconds": 1},
        headers=(("retry-after", "1"),),
    )


def too_soon(message: str, *, cause: str) -> Fault:
    """429: an eviction that a disruption budget does not let through now."""
    causes = [{"reason": "DisruptionBudget", "message": cause}]
    return Fault(429, "TooManyRequests", message, details={"causes": causes})


def internal(cause: str) -> Fault:
    """500: our own mistake."""
    return Fault(500, "InternalError", f"Internal error occurred: {cause}")


def invalid(
    kind: kinds.Kind, name: str, errors: Sequence[kinds.FieldError], *, obj: dict[str, Any] | None = None
) -> Fault:
    """422: fields are wrong; each becomes a cause."""
    return _invalid(_typed(kind), name, kind.group, kind.kind, errors, obj)


def invalid_options(options: str, errors: Sequence[kinds.FieldError]) -> Fault:
    """422: the options of a request are wrong; `options` is their type, such as ``CreateOptions``."""
    return _invalid(f"{options}.meta.k8s.io", "", "meta.k8s.io", options, errors, None)


def _invalid(
    qualified: str,
    name: str,
    group: str,
    kind: str,
    errors: Sequence[kinds.FieldError],
    obj: dict[str, Any] | None,
) -> Fault:
    causes = [{"reason": str(error.reason), "message": worded(error, obj), "field": error.field} for error in errors]
    texts = list(dict.fromkeys(f"{cause['field']}: {cause['message']}" for cause in causes))
    text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details: dict[str, Any] = {"name": name, "group": group, "kind": kind, "causes": causes}
    return Fault(
        422,
        "Invalid",
        f'{qualified} "{name[:_SHOWN_CHARACTERS]}" is invalid: {text}',
        details={key: value for key, value in details.items() if value},
    )


def worded(error: kinds.FieldError, obj: dict[str, Any] | None) -> str:
    """The cause's message with Kubernetes' prefix, which names the value where one is at fault."""
    if _WORDED.match(error.message):
        return error.message
    reason = kinds.Reason
    value = shown(_look_up(obj, error.field))
    prefix = {
        reason.REQUIRED: "Required value",
        reason.FORBIDDEN: "Forbidden",
        reason.DUPLICATE: f"Duplicate value: {value}",
        reason.NOT_SUPPORTED: f"Unsupported value: {value}",
        reason.NOT_FOUND: f"Not found: {value}",
        reason.TOO_LONG: "Too long",
    }.get(error.reason, f"Invalid value: {value}")
    return f"{prefix}: {error.message}" if error.message else prefix


def shown(value: object) -> str:
    """A value in a message: short, as JSON."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."


def _look_up(obj: dict[str, Any] | None, path: str) -> object:
    value: Any = obj
    for name, inner in _STEP.findall(path):
        key = name or inner
        if isinstance(value, list):
            value = value[int(key)] if key.isdigit() and int(key) < len(value) else None
        elif isinstance(value, dict):
            value = value.get(key)
        else:
            return None
    return value


def _typed(kind: kinds.Kind) -> str:
    return f"{kind.kind}.{kind.group}" if kind.group else kind.kind


def _details(kind: kinds.Kind, name: str) -> dict[str, Any]:
    return {"name": name, **({"group": kind.group} if kind.group else {}), "kind": kind.plural}
