"""The Box controller's loop."""

from boxfleet.api import box, meta, unit
from boxfleet.client import client, loop
from boxfleet.client import events as recorders
from boxfleet.controllers import caches, settings
from boxfleet.controllers.box import report, units
from boxfleet.kit import clock, tasks
from boxfleet.planning import box as planning

# Seconds after which a name that someone else had is tried again; its release is not an event of ours.
_CONFLICT_RETRY = 2.0
_DONE = {"UnitCreated": "Created", "UnitUpdated": "Updated", "UnitAdopted": "Took over"}


class BoxController:
    """Box -> Units."""

    def __init__(
        self,
        api: client.Client,
        indexed: caches.Indexed,
        *,
        events: recorders.Recorder,
        clock: clock.Clock,
        settings: settings.Settings,
    ) -> None:
        self._concurrency = settings.concurrency
        self._api = api
        self._clock = clock
        self._events = events
        self._boxes = indexed.shared.of(box.Box)
        self._units = indexed.units
        self._loop: loop.Loop[meta.Key] = loop.Loop("box", self.reconcile)
        self.run = self._loop.run
        self._boxes.listen(self._box_changed)
        self._units.listen(self._unit_changed)

    async def reconcile(self, key: meta.Key) -> float | None:
        """Make one Box right."""
        owner = self._boxes.get(key)
        if owner is None or owner.metadata.deletionTimestamp:
            return None
        made: dict[str, unit.Unit | None] = {}
        conflicts: list[planning.Conflict] = []
        work = (
            units.ensure(self._api, owner, short, current=self._current(owner, short)) for short in owner.spec.units
        )
        results = await tasks.gather(work, limit=self._concurrency)
        for short, outcome in zip(owner.spec.units, results, strict=True):
            made[short] = outcome.unit if outcome.conflict is None else None
            if outcome.conflict is not None:
                conflicts.append(outcome.conflict)
            if outcome.done:
                name = planning.unit_name(owner.metadata.name, short)
                self._events.normal(owner, outcome.done, f"{_DONE[outcome.done]} Unit {name}")
        owned = self._units.by_index(caches.OWNER, owner.metadata.uid)
        for name in await units.remove_others(self._api, owner, owned=owned):
            self._events.normal(owner, "UnitDeleted", f"Deleted Unit {name}, which the Box does not ask for any more")
        now = clock.stamp(self._clock.now())
        status = await report.report(self._api, owner, made, conflicts=conflicts, now=now)
        self._tell(owner, status, conflicts)
        return _CONFLICT_RETRY if conflicts else None

    def _tell(self, owner: box.Box, status: box.BoxStatus, conflicts: list[planning.Conflict]) -> None:
        """Say what changed, once: whatever goes on is in the conditions."""
        before = meta.find_condition(owner.status.conditions, "Ready")
        for conflict in conflicts:
            if before is None or str(conflict) not in before.message:
                self._events.warning(owner, "NameConflict", str(conflict))
        turn = planning.turn(owner.status, status)
        if turn is not None and turn[0]:
            self._events.normal(owner, "Ready", turn[1])
        elif turn is not None:
            self._events.warning(owner, "NotReady", turn[1])

    def _current(self, owner: box.Box, short: str) -> unit.Unit | None:
        name = planning.unit_name(owner.metadata.name, short)
        return self._units.find(name, namespace=owner.metadata.namespace)

    def _box_changed(self, old: box.Box | None, new: box.Box | None) -> None:
        if new is not None:
            self._loop.add(new.key)

    def _unit_changed(self, old: unit.Unit | None, new: unit.Unit | None) -> None:
        key = caches.owner_key(new or old, box.Box)
        if key is not None:
            self._loop.add(key)
