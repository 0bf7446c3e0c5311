"""Serves what definitions say: kinds, routes and schemas follow the store, on every server alike."""

import structlog

from boxfleet.api import kind as kinds
from boxfleet.apiserver import faults, registry, route, routes
from boxfleet.apiserver import versions as api_versions
from boxfleet.apiserver.custom import asked, custom_kinds, definition, schema, stored, versions, webhook
from boxfleet.store import errors, rows

log = structlog.get_logger()

_PREFIX = registry.prefix(definition.KIND)


class _Served:
    """What one definition makes."""

    def __init__(self, revision: int) -> None:
        self.revision = revision
        self.kinds: list[kinds.Kind] = []
        self.routes: list[route.Route] = []


class Serving:
    """Takes in changes of definitions before each request, without waiting: what was acknowledged before is served."""

    def __init__(self, known: registry.Registry, router: route.Router, kind_routes: routes.KindRoutes) -> None:
        self._registry = known
        self._router = router
        self._routes = kind_routes
        self._served: dict[str, _Served] = {}
        self._changes: rows.Subscription | None = None

    def start(self) -> None:
        """Serve what is there."""
        store = self._registry.store
        try:
            self._changes = store.watch(_PREFIX, after=store.revision)
        except errors.Closed:
            return
        found = store.range(_PREFIX)
        for key in self._served.keys() - {row.key for row in found}:
            self._take(key, None)
        for row in found:
            self._take(row.key, row)

    def follow(self) -> None:
        """Take in what changed since the last time."""
        changes = self._changes
        if changes is None or not (changes.waiting or changes.closed):
            return
        if changes.closed:
            # Too many at once, or the store is closing: look at all that is there.
            self.start()
            return
        for key in dict.fromkeys(change.key for change in changes.take_waiting()):
            self._take(key, self._registry.store.get(key))

    def _take(self, key: str, row: rows.Row | None) -> None:
        before = self._served.get(key)
        if before is not None and row is not None and before.revision == row.revision:
            return
        if before is not None:
            self._end(self._served.pop(key))
        if row is None:
            return
        known = definition.Definition(registry.decode(row.value))
        if not known.is_true("Established"):
            return
        made = self._served[key] = _Served(row.revision)
        try:
            self._serve(known, made)
        except Exception:
            # One definition must not take the others down; it was written by another release.
            log.exception("a definition cannot be served", definition=known.name)
            self._end(self._served.pop(key))

    def _serve(self, known: definition.Definition, made: _Served) -> None:
        offered = sorted(known.versions, key=lambda version: versions.priority(version["name"]))
        schemas = {version["name"]: custom_kinds.schema_of(known, version) for version in offered}
        objects = self._registry.store.range(f"/{known.group}/{known.names.plural}/")
        aged = any(row.revision <= made.revision for row in objects)
        for version in offered:
            if not version.get("served"):
                continue
            compiled = schemas[version["name"]]
            kind = custom_kinds.kind_of(known, version, compiled)
            self._registry.add(
                kind, version=_view(known, version["name"], schemas, since=made.revision, aged=aged), custom=compiled
            )
            made.kinds.append(kind)
            entries = self._routes.of(kind) if known.webhook is None else self._routes.of_asked(kind)
            if known.terminating:
                entries = [_closed(each) if each.access.verb == "create" else each for each in entries]
            self._router.add(entries)
            made.routes += entries

    def _end(self, served: _Served) -> None:
        self._router.remove(served.routes)
        for kind in served.kinds:
            self._registry.remove(kind)


def _view(
    known: definition.Definition, version: str, schemas: dict[str, schema.VersionSchema], *, since: int, aged: bool
) -> api_versions.Version:
    """How stored objects look in a version."""
    if known.webhook is not None:
        return asked.Asked(
            group=known.group,
            version=version,
            storage=known.storage,
            schema=schemas[version],
            webhook=webhook.Webhook(known.name, known.webhook),
        )
    return stored.Stored(
        group=known.group,
        version=version,
        storage=known.storage,
        since=since,
        aged=aged,
        schema=schemas[version],
        storage_schema=schemas[known.storage],
    )


def _closed(entry: route.Route) -> route.Route:
    """A route for creating, while the definition is going."""

    async def handle(call: route.Call) -> route.Answer | None:
        raise faults.Fault(
            405,
            "MethodNotAllowed",
            "create not allowed while custom resource definition is terminating",
            details={"group": entry.access.group, "kind": entry.access.resource},
        )

    return route.Route(method=entry.method, path=entry.path, access=entry.access, handle=handle)
