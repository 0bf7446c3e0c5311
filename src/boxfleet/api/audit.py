"""What was done, by whom, from where: one record, in the words of Kubernetes' audit events.

The shape is audit.k8s.io/v1 Event at level Metadata, which tools that read audit logs know. What Boxfleet adds stands
in annotations. A record never holds what was written or read.
"""

import datetime
from typing import Final

import msgspec

API_VERSION: Final = "audit.k8s.io/v1"
# Kubernetes' own annotations.
DECISION: Final = "authorization.k8s.io/decision"
REASON: Final = "authorization.k8s.io/reason"
# Whose namespace it was, which server answered, how long that took, and which recording holds the session.
TENANT: Final = "boxfleet.dev/tenant"
SERVER: Final = "boxfleet.dev/server"
MILLISECONDS: Final = "boxfleet.dev/milliseconds"
RECORDING: Final = "boxfleet.dev/recording"
# How many refused strangers were not written down just before.
OMITTED: Final = "boxfleet.dev/omitted"

ALLOW: Final = "allow"
FORBID: Final = "forbid"

# A session is recorded when it begins, and again when it ends; everything else once, when it is answered.
STARTED: Final = "ResponseStarted"
COMPLETE: Final = "ResponseComplete"


class User(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who it was."""

    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = {}


class Reference(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which object it was about."""

    resource: str = ""
    namespace: str = ""
    name: str = ""
    apiGroup: str = ""
    apiVersion: str = ""
    subresource: str = ""


class Status(msgspec.Struct, frozen=True, omit_defaults=True):
    """How it ended: HTTP's code, and of failures Kubernetes' reason and message."""

    code: int = 0
    status: str = ""
    reason: str = ""
    message: str = ""


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One record. Times are in UTC."""

    auditID: str
    stage: str
    requestURI: str
    verb: str
    user: User
    requestReceivedTimestamp: datetime.datetime
    stageTimestamp: datetime.datetime
    sourceIPs: tuple[str, ...] = ()
    impersonatedUser: User | None = None
    userAgent: str = ""
    objectRef: Reference | None = None
    responseStatus: Status | None = None
    annotations: dict[str, str] = {}
    level: str = "Metadata"
    kind: str = "Event"
    apiVersion: str = API_VERSION


def encode(event: Event) -> bytes:
    """One line, with everything that Kubernetes' form demands."""
    body = msgspec.json.encode(event)
    return b'{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata",' + body[1:] + b"\n"
