"""What can go wrong with an API call; a class exists where a caller acts on it."""

from typing import Any

import msgspec


class ApiError(Exception):
    """The server answered with a failure `Status`."""

    def __init__(self, *, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details or {}


class NotFound(ApiError):
    """There is no such object."""


class AlreadyExists(ApiError):
    """The name is taken."""


class Conflict(ApiError):
    """The object changed since it was read, or a precondition does not hold."""


class Invalid(ApiError):
    """The object breaks a rule; `details["causes"]` names fields."""


class Forbidden(ApiError):
    """The caller may not, or a policy or quota stands against it."""

    @property
    def over_quota(self) -> bool:
        """Whether there may be room later: a quota is used up, or not counted yet."""
        return "exceeded quota: " in self.message or "status unknown for quota: " in self.message


class Expired(ApiError):
    """The revision asked for is compacted away: list anew."""


class Unavailable(ApiError):
    """The server cannot be reached or asks to come back later."""


def from_status(code: int, status: dict[str, Any]) -> ApiError:
    """The error for a failure `Status` body."""
    reason = str(status.get("reason") or "")
    kind: type[ApiError] = ApiError
    if code == 404:
        kind = NotFound
    elif code == 409:
        kind = AlreadyExists if reason == "AlreadyExists" else Conflict
    elif code == 403:
        kind = Forbidden
    elif code == 422:
        kind = Invalid
    elif code == 410:
        kind = Expired
    elif code in (429, 502, 503, 504):
        kind = Unavailable
    message = str(status.get("message") or f"the server answered {code}")
    return kind(code=code, reason=reason, message=message, details=status.get("details"))


def from_body(code: int, body: bytes) -> ApiError:
    """The error for an answer that failed, whether or not its body is a `Status`."""
    try:
        status = msgspec.json.decode(body, type=dict[str, Any])
    except ValueError:
        status = {}
    return from_status(code, status)


def unreachable(url: str, cause: Exception) -> Unavailable:
    """The error for a server that no answer comes from."""
    # The number in "[Errno 111] Connection refused" helps nobody.
    words = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return Unavailable(code=503, reason="ServiceUnavailable", message=f"cannot reach {url}: {words}")
