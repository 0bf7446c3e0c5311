"""The ASGI app: who calls, what they want, whether they may, and the answer."""

import asyncio
import time
import urllib.parse
from collections.abc import Collection, Mapping, Sequence

import structlog

import boxfleet
from boxfleet.api import admission as rules
from boxfleet.api import kind as kinds
from boxfleet.api import meta
from boxfleet.api import reviews as review_kinds
from boxfleet.api import usage as usage_kinds
from boxfleet.apiserver import (
    admission,
    answers,
    authn,
    authz,
    deleting,
    documents,
    fairness,
    faults,
    figures,
    freshness,
    headers,
    health,
    metrics,
    reading,
    registry,
    request_log,
    route,
    routes,
    subresources,
    watching,
    writing,
)
from boxfleet.apiserver.access import aggregation, impersonation, reviews, rights
from boxfleet.apiserver.audit import auditor, marks
from boxfleet.apiserver.custom import conditions, definition, serving
from boxfleet.apiserver.identity import local_users
from boxfleet.apiserver.streams import agents as stream_agents
from boxfleet.apiserver.streams import routes as stream_routes
from boxfleet.apiserver.streams import target as stream_target
from boxfleet.apiserver.streams import usage as stream_usage
from boxfleet.kit import clock as clocks
from boxfleet.store import store as stores

log = structlog.get_logger()

# A selector can be long; a longer query is a mistake.
_QUERY_LIMIT = 64 * 1024


class ApiServer:
    """A Kubernetes API over a store. Call `start` before use and `stop` before the store closes."""

    def __init__(
        self,
        store: stores.Store,
        *,
        types: Sequence[type[meta.Object]],
        authenticators: Sequence[authn.Authenticator],
        clock: clocks.Clock = clocks.SystemClock(),  # noqa: B008  # it has no state
        extra_routes: Sequence[route.Route] = (),
        admission_policy: rules.Policy = rules.Policy(rules={}),  # noqa: B008  # it is frozen
        checks: Sequence[health.Check] = (),
        default_roles: Sequence[kinds.JsonObject] = (),
        node_reads: Collection[str] = (),
        audit: auditor.Auditor | None = None,
        limits: fairness.Limits = fairness.Limits(),  # noqa: B008  # it has no state
        own_users: Collection[str] = (),
        older: Sequence[kinds.Older] = (),
    ) -> None:
        """`default_roles` are there from the start; every agent reads the `node_reads` (``group/resource``).

        Without an `audit` requests are numbered, and nothing is recorded. `own_users` are the application's own parts:
        they and the agents never wait for others.
        """
        self._store = store
        self._audit = audit or auditor.Auditor(None)
        self._fairness = fairness.Fairness(limits, time=time.monotonic, own=own_users)
        self._authenticator = authn.Chain(authenticators)
        # Of requests that come over no connection.
        self._known_headers = headers.Several()
        self.registry = registry.Registry(
            store,
            types=[*types, definition.CustomResourceDefinition, *review_kinds.TYPES, *usage_kinds.TYPES],
            clock=clock,
            older=older,
        )
        self._rights = rights.Rights(self.registry, node_reads=node_reads)
        self._default_roles = default_roles
        marked = marks.Marks(self.registry)
        self._audit.tenant_of, self._audit.records = marked.tenant, marked.records
        read = reading.Reading(self.registry)
        admit = admission.Admission(self.registry, admission_policy)
        self._writing = writing.Writing(self.registry, admit, judge=self._rights)
        self._aggregation = aggregation.Aggregation(self.registry, self._writing)
        delete = deleting.Deleting(self.registry, admit)
        self._documents = documents.Documents(self.registry.kinds, self.registry.schemas, build=boxfleet.__version__)
        kind_routes = routes.KindRoutes(
            self.registry,
            reading=read,
            watching=watching.Watching(self.registry),
            writing=self._writing,
            deleting=delete,
            subresources=subresources.Subresources(self.registry, self._writing, delete),
        )
        self.agents = stream_agents.Agents()
        streams = stream_routes.routes(
            connected=self.agents,
            find_pod=stream_target.in_store(self.registry),
            time=clock,
            sessions=self._audit.sessions,
        )
        asked = reviews.Reviews(self._rights, self._writing, self._authenticator)
        self.metrics = metrics.Metrics()
        self.metrics.objects(self._count_objects)
        self.metrics.gauge("apiserver_registered_watchers", "Watches now.", lambda: store.watchers)
        self.metrics.gauge("boxfleet_store_waiting_writes", "Writes without an answer yet.", lambda: store.waiting)
        store.took = self.metrics.times(
            "boxfleet_store_write_duration_seconds", "How long writes took until they were on disk, or refused."
        ).add
        self.metrics.gauge("boxfleet_store_revision", "The newest revision.", lambda: store.revision)
        figures.of_fairness(self.metrics, self._fairness)
        figures.of_audit(self.metrics, self._audit)
        own = health.Health(
            [
                health.Check(name="server", problem=self._readiness),
                health.Check(name="store", problem=self._store_trouble),
                *checks,
            ]
        )
        self._router = route.Router(
            [
                *self._documents.routes(),
                *own.routes(),
                self.metrics.served(),
                *kind_routes.of_all(self.registry.kinds),
                *asked.routes(),
                *stream_usage.Usage(self.agents, self.registry).routes(),
                *streams,
                *extra_routes,
            ]
        )
        self._custom = serving.Serving(self.registry, self._router, kind_routes)
        self._conditions = conditions.Conditions(self.registry, self._writing, delete)
        self._started = False
        # Connections end as soon as what is under way is answered.
        self.stopping = False

    @property
    def routes(self) -> Sequence[route.Route]:
        """Everything that is served, with the access that it takes."""
        return self._router.routes

    @property
    def authorizer(self) -> authz.Authorizer:
        """Who may do what."""
        return self._rights.authorizer

    async def start(self) -> None:
        """Make what must always be there; ready afterwards."""
        kind = self.registry.kind("namespaces")
        if kind is not None:
            await writing.ensure_namespaces(self._writing, kind)
        self._custom.start()
        await self._rights.start(self._default_roles)
        await self._aggregation.settle()
        self._started = True

    async def run(self) -> None:
        """Keep what follows from other objects, until cancelled or the store closes."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._aggregation.run(), name="aggregation")
            group.create_task(self._conditions.run(), name="definitions")

    def retire(self) -> None:
        """Be no longer ready, so that others are asked from now on; whoever asks is answered as before."""
        self._started = False

    def stop(self) -> None:
        """Be no longer ready and end all watches, so that the HTTP server can finish."""
        self.retire()
        self.stopping = True
        self._store.end_watches()

    async def __call__(self, scope: route.Scope, receive: route.Receive, send: route.Send) -> None:
        """One ASGI call: a request or a WebSocket."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        started = False

        async def tracked(message: route.Message) -> None:
            nonlocal started
            started = True
            await send(message)

        answer = await self.respond(scope, receive, tracked)
        # An answer that has begun cannot become another one: the HTTP server breaks the connection off instead.
        if answer is not None and not started:
            await answers.send(scope, send, answer)

    async def respond(self, scope: route.Scope, receive: route.Receive, send: route.Send) -> route.Whole | None:
        """The answer to a request or WebSocket; None when it was given by `send`, or the client left meanwhile."""
        if headers.KEY not in scope:
            scope[headers.KEY] = self._known_headers.read(scope["headers"])
        call = _call(scope, receive, send)
        call.audit_id = self._audit.ids.next()
        began = time.perf_counter()
        answer = None
        # What the client sees when this is cancelled: nothing.
        status = _GONE
        try:
            answer = await self._answer(call)
            status = answer.status if answer is not None else 200
        finally:
            seconds = time.perf_counter() - began
            if call.lane is not None:
                self._fairness.leave(call.user, call.lane, seconds=seconds - call.waited)
            self.metrics.end(call, status=status, seconds=seconds)
            if status >= 500 or seconds > request_log.SLOW:
                request_log.tell(call, code=status, seconds=seconds, streamed=answer is None)
            recorded = self._audit.end(call, answer, code=status, seconds=seconds)
        if recorded is not None and (fault := await self._audit.settle(recorded)) is not None:
            answer = answers.failure(fault) if answer is not None else None
        return answers.whole(call, answer) if answer is not None else None

    async def _answer(self, call: route.Call) -> route.Answer | None:
        try:
            return await self._handle(call)
        except faults.Fault as fault:
            call.fault = fault
            return answers.failure(fault)
        except RecursionError:
            return answers.failure(faults.bad_request("the request is nested too deeply"))
        except Exception:
            request_log.broke(call)
            return answers.failure(faults.internal("the request could not be handled; the server's log says why"))

    async def _handle(self, call: route.Call) -> route.Answer | None:
        await self._identify(call)
        self._custom.follow()
        try:
            found, call.params = self._router.find(call.method, call.path)
        except faults.Fault:
            # Whether a path is there is told only to those who may know.
            self._authorize(call, authz.Attributes(verb=_VERBS.get(call.method, "get"), path=call.path))
            raise
        call.route = found
        self.metrics.begin(call, found)
        access = found.access
        wish = _wish(call, access)
        self._authorize(call, wish)
        kind = _lane(call, wish)
        if self.stopping and kind in _LASTING:
            # It would only be ended again: whoever watched here a moment ago does so elsewhere, or later.
            raise faults.too_many_requests("this server is stopping")
        lane, waiting = self._fairness.enter(call.user, kind=kind, heavy=wish.verb in _HEAVY)
        if waiting is not None:
            call.waited = await waiting
        call.lane = lane
        if (begun := self._audit.admit(call)) is not None:
            await begun
        if self._store.shared:
            await freshness.wait(self._store, call, access)
        return await found.handle(call)

    async def _identify(self, call: route.Call) -> None:
        """Find out who calls, and as whom; raises Fault 401, and 403 for who may not be somebody else."""
        given: headers.Headers = call.scope[headers.KEY]
        shown = _shown(call, given)
        user = await self._authenticator.authenticate(shown) if shown is not None else None
        if user is None:
            raise faults.unauthorized()
        call.user = user
        if given.impersonates:
            call.user = impersonation.user(user, call.scope["headers"], self._rights.authorizer)
            call.impersonator = user

    def _authorize(self, call: route.Call, wish: authz.Attributes) -> None:
        decision = self._rights.authorizer.decide(call.user, wish)
        call.authorized = decision.allowed
        if not decision.allowed:
            raise authz.refusal(call.user, wish, reason=decision.reason)

    async def _readiness(self) -> str:
        return "" if self._started else "the server is starting or stopping"

    async def _store_trouble(self) -> str:
        return self._store.trouble

    def _count_objects(self) -> dict[str, int]:
        return {kind.qualified: self._store.count(registry.prefix(kind)) for kind in self.registry.kinds if kind.stored}


_VERBS = {"GET": "get", "HEAD": "get", "POST": "post", "PUT": "put", "PATCH": "patch", "DELETE": "delete"}
# What lasts for as long as its client likes.
_LASTING = frozenset({"watches", "streams"})
_LANES = {"GET": "reading", "HEAD": "reading", route.WEBSOCKET: "streams"}
# Verbs that may compute for long.
_HEAVY = frozenset({"list", "watch", "deletecollection"})
# nginx' word for a client that left before its answer.
_GONE = 499
# What a connection without a certificate shows.
_NOTHING_SHOWN: Mapping[str, authn.Certificate] = {}
_NOBODY = authn.User(name="")


def _shown(call: route.Call, given: headers.Headers) -> authn.Shown | None:
    """What a request shows of its sender; None when that is nothing."""
    certificate = call.scope.get("state", _NOTHING_SHOWN).get("certificate")
    if given.scheme == "basic" and call.path == local_users.PATH:
        return authn.Shown(password=authn.Basic(given.credentials, (call.scope.get("client") or ("",))[0]))
    if given.digest:
        return authn.Shown(token=given.credentials, digest=given.digest, certificate=certificate)
    return authn.Shown(certificate=certificate) if certificate is not None else None


def _wish(call: route.Call, access: route.Access) -> authz.Attributes:
    """What a call wants, in the words of authorization, as Kubernetes reads it from a request."""
    verb = access.verb
    namespace, name = call.params.get("namespace", ""), call.params.get("name", "")
    fields = ""
    if access.resource == "namespaces" and not access.group:
        # A Namespace is judged as being in itself.
        namespace = name
    if verb == "list":
        if call.flag("watch"):
            verb = "watch"
        fields = call.one("fieldSelector")
        # Who may see one object by its name may list and watch that one.
        name = _name_in(fields) if fields else ""
    return authz.Attributes(
        verb=verb,
        path=call.path,
        group=access.group,
        resource=access.resource,
        subresource=access.subresource,
        namespace=namespace,
        name=name,
        fields=fields,
    )


def _lane(call: route.Call, wish: authz.Attributes) -> str:
    """What kind of request it is, for `fairness`."""
    if wish.verb == "watch":
        return "watches"
    return _LANES.get(call.method, "writing") if wish.subresource != "log" else "streams"


def _name_in(fields: str) -> str:
    """The one name that a field selector leaves; empty when it leaves several, or has marks of its own in it."""
    if "\\" in fields:
        return ""
    for part in fields.split(","):
        key, mark, name = part.partition("=")
        if key.strip() == "metadata.name" and mark:
            return name.removeprefix("=").strip()
    return ""


def _call(scope: route.Scope, receive: route.Receive, send: route.Send) -> route.Call:
    query: bytes = scope.get("query_string", b"")[:_QUERY_LIMIT]
    return route.Call(
        method=route.WEBSOCKET if scope["type"] == "websocket" else scope["method"],
        path=scope["path"],
        params={},
        query=urllib.parse.parse_qs(query.decode("latin-1"), keep_blank_values=True) if query else {},
        headers=scope[headers.KEY].by_name,
        user=_NOBODY,
        scope=scope,
        receive=receive,
        send=send,
    )


async def _lifespan(receive: route.Receive, send: route.Send) -> None:
    """The server that runs the app tells it of start and end; whoever made the app looks after both."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
