"""Makes records of requests, and holds answers back until their records are safe."""

import asyncio
import datetime
import os
import time
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol

import msgspec

from boxfleet.api import audit
from boxfleet.apiserver import authn, faults, route
from boxfleet.apiserver.audit import policy, sessions

_UNKNOWN: Final = 401
_REFUSALS: Final = frozenset({_UNKNOWN, 403})
_SWITCHED: Final = 101
_SESSIONS: Final = frozenset({"exec", "attach", "portforward"})
_READING: Final = frozenset({"GET", "HEAD"})
# Characters of what clients may make as long as they like.
_LONGEST_URI: Final = 4096
_LONGEST: Final = 256
_IMPERSONATE: Final = "impersonate-user"
_NO: Final = ("0", "f", "F", "false", "FALSE", "False")
# Parameters of a query whose values are nobody's business.
_SECRET_WORDS: Final = ("token", "password", "secret", "credential", "authorization", "key")
_MASK: Final = "***"
# Refused strangers cost them nothing: so many of them are written down in a second, the rest are counted.
_STRANGERS_PER_SECOND: Final = 20

# Whose a namespace is; empty when it is nobody's.
TenantOf = Callable[[str], str]


class Ids:
    """A name for every request: unlike all others, and cheap."""

    def __init__(self) -> None:
        drawn = os.urandom(8).hex()
        # A UUID's form (RFC 9562, version 8): the front is the process's, the end counts.
        self._front = f"{drawn[:8]}-{drawn[8:12]}-8{drawn[12:15]}-8000-"
        self._count = 0

    def next(self) -> str:
        """The next one."""
        self._count = count = self._count + 1
        return f"{self._front}{count:012x}"


class _Named(msgspec.Struct):
    class Metadata(msgspec.Struct):
        name: str = ""

    metadata: Metadata = msgspec.field(default_factory=Metadata)


_named = msgspec.json.Decoder(_Named)


class _Kind:
    """What all requests of a route and verb have in common, and the rules that may fit them."""

    __slots__ = ("guarded", "rules", "session", "subject", "version", "weighty")

    def __init__(self, subject: policy.Subject, rules: tuple[policy.Rule, ...] = (), *, path: str = "") -> None:
        self.subject = subject
        self.rules = rules
        self.weighty = subject.weighty
        self.guarded = subject.guarded
        self.session = subject.subresource in _SESSIONS and bool(subject.resource)
        segments = path.split("/", 4)
        self.version = "" if not subject.resource else segments[3] if segments[1] == "apis" else segments[2]


# Where no route is found.
_READ: Final = _Kind(policy.Subject(verb="get"))
_CHANGE: Final = _Kind(policy.Subject(verb="post"))


class Book(Protocol):
    """Where lines go; `journal.Journal` is one."""

    trouble: str
    # Written, and lost.
    lines: int
    lost: int

    def append(self, line: bytes) -> None:
        """Have a line written soon."""

    def written(self) -> "asyncio.Future[None]":
        """Done when it is."""


def _nobody(namespace: str) -> str:
    return ""


def _never(namespace: str) -> bool:
    return False


class Auditor:
    """Decides, records, and refuses what could not be recorded."""

    def __init__(
        self,
        book: Book | None,
        *,
        server: str = "",
        rules: policy.Policy | None = None,
        required: bool = True,
        sessions: sessions.Sessions | None = None,
    ) -> None:
        """Without a book nothing is recorded. When records are `required`, nothing is done that cannot be recorded."""
        self.ids = Ids()
        self.book = book
        self._server = server
        self._policy = rules or policy.Policy()
        # What the labels of a namespace say, and where sessions are recorded that they ask for.
        self.tenant_of: TenantOf = _nobody
        self.records: Callable[[str], bool] = _never
        self.sessions = sessions
        self._required = required
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self._second = 0
        self._strangers = 0
        self._omitted = 0
        # Requests whose records could not be written, and that were refused therefore.
        self.refused = 0

    def admit(self, call: route.Call) -> Awaitable[None] | None:
        """Let in what can be recorded. What is returned is to be waited for: a session is recorded before it begins.

        Raises Fault 503, as waiting does.
        """
        book = self.book
        if book is None:
            return None
        kind = self._kind(call)
        if self._required and book.trouble and (kind.weighty or call.impersonator is not None):
            self.refused += 1
            raise faults.unavailable(
                f"the audit log cannot be written ({book.trouble}), and nothing is done unrecorded: make room or mend "
                "it on the server; `boxfleet doctor` there says where"
            )
        if not kind.session:
            return None
        if self.sessions is not None and _is_interactive(call) and self.records(call.params.get("namespace", "")):
            call.recording = call.audit_id
        if not self._wants(call, kind, code=_SWITCHED):
            return None
        return self._safe(self._record(call, kind, code=_SWITCHED, began=time.time()))

    def end(
        self, call: route.Call, answer: route.Answer | None, *, code: int, seconds: float
    ) -> "asyncio.Future[None] | None":
        """Record how a request ended; what to `settle` before it is answered, if anything."""
        if self.book is None:
            return None
        kind = self._kind(call)
        if not self._wants(call, kind, code=code) or (code == _UNKNOWN and self._is_too_many()):
            return None
        return self._record(call, kind, code=code, began=time.time() - seconds, seconds=seconds, answer=answer)

    async def _safe(self, recorded: "asyncio.Future[None]") -> None:
        if (fault := await self.settle(recorded)) is not None:
            raise fault

    async def settle(self, recorded: "asyncio.Future[None]") -> faults.Fault | None:
        """Wait for a record; what to answer instead when it could not be written."""
        try:
            await recorded
        except OSError as error:
            if self._required:
                self.refused += 1
                return faults.unavailable(
                    f"the request could not be written to the audit log ({error.strerror}); what it asked for may "
                    "have been done"
                )
        return None

    def _kind(self, call: route.Call) -> "_Kind":
        known: _Kind | None = call.audited
        if known is not None:
            return known
        found = call.route
        if found is None:
            return _READ if call.method in _READING and "/secrets" not in call.path else _CHANGE
        access = found.access
        verb = "watch" if access.verb == "list" and "watch" in call.query and _watches(call) else access.verb
        key = (found.path, verb)
        known = self._kinds.get(key)
        if known is None:
            subject = policy.Subject(
                verb=verb, group=access.group, resource=access.resource, subresource=access.subresource
            )
            rules = self._policy.may_fit(subject)
            known = self._kinds[key] = _Kind(subject, rules, path=found.path)
        call.audited = known
        return known

    def _wants(self, call: route.Call, kind: "_Kind", *, code: int) -> bool:
        if kind.rules:
            caller = call.impersonator or call.user
            said = policy.wanted(
                kind.rules,
                user=caller.name,
                groups=caller.groups,
                namespace=call.params.get("namespace", ""),
                name=call.params.get("name", ""),
                path=call.path,
            )
            if said is not None:
                return said
        if kind.weighty or call.impersonator is not None:
            return True
        return code in _REFUSALS and (kind.guarded or _IMPERSONATE in call.headers)

    def _is_too_many(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._strangers = second, 0
        self._strangers += 1
        if self._strangers <= _STRANGERS_PER_SECOND:
            return False
        self._omitted += 1
        return True

    def _record(
        self,
        call: route.Call,
        kind: "_Kind",
        *,
        code: int,
        began: float,
        seconds: float | None = None,
        answer: route.Answer | None = None,
    ) -> "asyncio.Future[None]":
        """`seconds` is how long it took; None for what only begins."""
        book = self.book
        assert book is not None
        client = call.scope.get("client")
        event = audit.Event(
            auditID=call.audit_id,
            stage=audit.COMPLETE if seconds is not None else audit.STARTED,
            requestURI=_uri(call),
            verb=kind.subject.verb,
            user=_user(call.impersonator or call.user),
            impersonatedUser=_impersonated(call),
            sourceIPs=(client[0],) if client else (),
            userAgent=call.headers.get("user-agent", "")[:_LONGEST],
            objectRef=_reference(call, kind, answer) if kind.version else None,
            responseStatus=_status(code, call.fault),
            requestReceivedTimestamp=datetime.datetime.fromtimestamp(began, datetime.UTC),
            stageTimestamp=datetime.datetime.now(datetime.UTC),
            annotations=self._annotations(call, code=code, seconds=seconds),
        )
        book.append(audit.encode(event))
        return book.written()

    def _annotations(self, call: route.Call, *, code: int, seconds: float | None) -> dict[str, str]:
        said = {audit.SERVER: self._server}
        if call.authorized is not None:
            said[audit.DECISION] = audit.ALLOW if call.authorized else audit.FORBID
        namespace = call.params.get("namespace", "")
        if namespace and (tenant := self.tenant_of(namespace)):
            said[audit.TENANT] = tenant
        if seconds is not None:
            said[audit.MILLISECONDS] = f"{seconds * 1000:.1f}"
        if call.recording:
            said[audit.RECORDING] = call.recording
        if code == _UNKNOWN and self._omitted:
            said[audit.OMITTED] = str(self._omitted)
            self._omitted = 0
        return said


def _is_interactive(call: route.Call) -> bool:
    """Whether somebody or something at the other end can send; a stream is one only over WebSocket."""
    given = call.query.get("stdin", []) + call.query.get("tty", [])
    return call.method == route.WEBSOCKET and any(value not in _NO for value in given)


def _watches(call: route.Call) -> bool:
    try:
        return call.flag("watch")
    except faults.Fault:
        return False


def _user(user: authn.User) -> audit.User:
    return audit.User(username=user.name, uid=user.uid, groups=user.groups, extra=dict(user.extra))


def _impersonated(call: route.Call) -> audit.User | None:
    if call.impersonator is not None:
        return _user(call.user)
    # Refused: all there is of him is the wish.
    wish = call.headers.get(_IMPERSONATE, "")
    return audit.User(username=wish[:_LONGEST]) if wish else None


def _reference(call: route.Call, kind: "_Kind", answer: route.Answer | None) -> audit.Reference:
    subject = kind.subject
    return audit.Reference(
        resource=subject.resource,
        namespace=call.params.get("namespace", ""),
        name=call.params.get("name", "") or (_name_of_new(call, answer) if subject.verb == "create" else ""),
        apiGroup=subject.group,
        apiVersion=kind.version,
        subresource=subject.subresource,
    )


def _name_of_new(call: route.Call, answer: route.Answer | None) -> str:
    """What was created is named in its body; what could not be, in the refusal."""
    if call.fault is not None:
        return str((call.fault.details or {}).get("name", ""))
    try:
        return _named.decode(answer.body).metadata.name if answer is not None else ""
    except msgspec.DecodeError:
        return ""


def _status(code: int, fault: faults.Fault | None) -> audit.Status:
    if fault is None:
        return audit.Status(code=code)
    # These quote what was sent, which may be a secret.
    message = "" if fault.code in (400, 422) else fault.message[:_LONGEST]
    return audit.Status(code=code, status="Failure", reason=fault.reason, message=message)


def _uri(call: route.Call) -> str:
    query = call.scope.get("query_string", b"")
    if not query:
        return call.path[:_LONGEST_URI]
    return f"{call.path}?{masked(call.query)}"[:_LONGEST_URI]


def masked(query: Mapping[str, list[str]]) -> str:
    """A query with the values of whatever sounds like a secret hidden."""
    return urllib.parse.urlencode(
        [
            (name, _MASK if any(word in name.lower() for word in _SECRET_WORDS) else value)
            for name, values in query.items()
            for value in values
        ]
    )
