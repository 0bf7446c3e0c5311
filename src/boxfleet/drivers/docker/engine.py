"""One Docker engine by itself as a cluster (`ports.cluster.Cluster`)."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from boxfleet.api import meta, tunnel
from boxfleet.api import pod as pods
from boxfleet.drivers.docker import (
    connection,
    ending,
    given,
    keeper,
    marks,
    model,
    pieces,
    place,
    report,
    status,
    streaming,
    support,
    usage,
    view,
)
from boxfleet.kit import clock as clocks
from boxfleet.kit import tasks
from boxfleet.ports import cluster, streams

# Instances brought forward at once by one call.
_AT_ONCE: Final = 8


class Engine:
    """An engine; whoever made the connection closes it."""

    def __init__(
        self,
        link: connection.Connection,
        wish: place.Wish,
        *,
        clock: clocks.Clock,
    ) -> None:
        self._link = link
        self._wish = wish
        self._clock = clock
        self._changed: Callable[[meta.Key | None], None] = lambda _key: None
        self._group: asyncio.TaskGroup | None = None
        # Whether it was said that the view is whole.
        self._told = False
        self._nodes: Sequence[cluster.Node] = ()
        self._ended: dict[str, pods.ContainerStateTerminated] = {}
        self._conditions: dict[str, Sequence[meta.Condition]] = {}
        self._view = view.View(self._link, wish.fleet, changed=self._seen)
        self._keeper = keeper.Keeper(self._link, self._wish, clock=clock, told=self._tell, address=self._address)
        self._usage = usage.Usage(self._link, clock=clock)

    async def check(self) -> cluster.Report:
        """Look at the engine without changing anything."""
        found = await report.look(self._link, self._wish, clock=self._clock)
        self._nodes = self._nodes or found.nodes
        return found

    async def run(self, changed: Callable[[meta.Key | None], None]) -> None:
        """Keep the view up to date, and carry out what takes long, until cancelled."""
        self._changed = changed
        self._told = False
        self._keeper.forget_engine()
        await self._ask()
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(self._keeper.run())
                await self._view.run(listed=self._listed)
        except BaseExceptionGroup as several:
            raise _cause(several) from None
        finally:
            self._group = None
            self._keeper.rest()

    @property
    def synced(self) -> bool:
        """Whether the view is whole and fresh."""
        return self._view.synced

    def instances(self, key: meta.Key | None = None) -> Sequence[cluster.Instance]:
        """The instances of a Unit, or of the fleet; also those that wait for their first container."""
        found: dict[tuple[marks.Instance, str], list[model.Container]] = {}
        units: dict[marks.Instance, str] = {}
        for one in self._view.all():
            if key is None or (one.mark.namespace, one.mark.unit) == (key.namespace, key.name):
                found.setdefault((one.mark.instance, one.mark.uid), []).append(one)
                units[one.mark.instance] = one.mark.unit
        for instance, wanted in self._keeper.wanted.items():
            share = wanted.share
            if key is None or (share.namespace, share.unit) == (key.namespace, key.name):
                units[instance] = share.unit
                # Until what it replaces is gone it is not there.
                if all(each != instance for each, _ in found):
                    found[instance, wanted.pod.metadata.uid] = []
        return [
            self._instance(instance, uid, units[instance], made)
            for (instance, uid), made in sorted(found.items(), key=_order)
        ]

    def nodes(self) -> Sequence[cluster.Node]:
        """The engine's host."""
        return self._nodes

    async def deliver(self, share: cluster.Share) -> None:
        """Make the Unit's containers be what the share says."""
        engine = await self._keeper.engine()
        wanted = {}
        for ordinal in share.orders:
            one = given.read(share, ordinal)
            support.check(one, engine)
            wanted[marks.Instance(namespace=share.namespace, name=one.pod.metadata.name)] = one
        there = await self._link.call("GET", "/containers/json", params={"all": True})
        await self._refuse_taken(wanted.values(), engine, there)
        for instance, one in wanted.items():
            self._keeper.want(instance, one)
            if self._view.synced:
                # What ran before this server was seen when nobody knew yet what its probes are.
                self._observe(instance)
        gone = self._of_unit(share.key, there) - set(wanted)
        for instance in gone:
            self._keeper.unwant(instance, grace=share.grace.get(instance.name))
        await self._forward([*wanted, *gone], patient=False)
        self._changed(share.key)

    async def withdraw(self, key: meta.Key) -> None:
        """Take away all that was made for a Unit; returns when it is gone, which takes as long as its stops do."""
        params = {"all": True, "filters": marks.filters(self._wish.fleet, namespace=key.namespace, unit=key.name)}
        there = await self._link.call("GET", "/containers/json", params=params)
        gone = self._of_unit(key, there)
        for instance in gone:
            self._keeper.unwant(instance, grace=None)
        await self._forward(list(gone), patient=True)
        await ending.remove_volumes(self._link, marks.filters(self._wish.fleet, namespace=key.namespace, unit=key.name))
        params = {"all": True, "filters": marks.filters(self._wish.fleet)}
        left = self._wish.network or self._keeper.wanted
        if not left and not await self._link.call("GET", "/containers/json", params=params):
            await place.remove_network(self._link)
            self._keeper.forget_engine()

    async def renew(self, namespace: str, name: str) -> None:
        """End one instance and make it anew; one that is not there is no fault."""
        instance = marks.Instance(namespace=namespace, name=name)
        made = await view.made_for(self._link, self._wish.fleet, instance)
        incarnation = next((one.mark.incarnation for one in made if one.mark.incarnation), "")
        if incarnation and instance in self._keeper.wanted:
            self._keeper.renew(instance, incarnation)

    async def stream(self, order: tunnel.Order, channels: streams.Channels) -> bytes:
        """Carry out exec, attach, logs or port-forward."""
        return await streaming.run(self._link, self._wish.fleet, await self._keeper.engine(), order, channels)

    async def usage(self, node: str) -> tunnel.UsageReport:
        """What the engine's containers use."""
        return await self._usage.measure(self._view.all())

    async def close(self) -> None:
        """Nothing is held here."""

    async def _forward(self, instances: Iterable[marks.Instance], *, patient: bool) -> None:
        await tasks.gather((self._keeper.advance(one, patient=patient) for one in instances), limit=_AT_ONCE)

    def _of_unit(self, key: meta.Key, there: Iterable[Mapping[str, Any]]) -> set[marks.Instance]:
        """All instances of a Unit, on the engine or still to come."""
        found = {
            instance
            for instance, wanted in self._keeper.wanted.items()
            if (wanted.share.namespace, wanted.share.unit) == (key.namespace, key.name)
        }
        for one in there:
            table = one.get("Labels") or {}
            mark = marks.read(table)
            if table.get(marks.FLEET) == self._wish.fleet and (mark.namespace, mark.unit) == (key.namespace, key.name):
                found.add(mark.instance)
        return found

    async def _refuse_taken(
        self, wanted: Iterable[given.Given], engine: given.Engine, there: Iterable[Mapping[str, Any]]
    ) -> None:
        """Raises Taken when a name that is needed is not ours."""
        names = {name.lstrip("/"): one.get("Labels") or {} for one in there for name in one.get("Names") or ()}
        found = await self._link.call("GET", "/volumes")
        held = {one["Name"]: one.get("Labels") or {} for one in found.get("Volumes") or ()}
        for one in wanted:
            for name, _ in pieces.order(one, engine):
                _refuse(marks.container_name(one.pod, name), names, "container", engine.fleet)
            for volume in one.pod.spec.volumes:
                claim = volume.persistentVolumeClaim
                if claim is not None:
                    _refuse(marks.claim_name(one.share.namespace, claim.claimName), held, "volume", engine.fleet)
                else:
                    _refuse(marks.volume_name(one.pod, volume.name), held, "volume", engine.fleet)

    def _instance(
        self, instance: marks.Instance, uid: str, unit: str, made: Sequence[model.Container]
    ) -> cluster.Instance:
        wanted = self._keeper.wanted.get(instance)
        if wanted is not None and wanted.pod.metadata.uid != uid:
            wanted, replaced = None, True
        else:
            replaced = False
        engine = self._keeper.known_engine
        known = status.Known(
            wanted=wanted,
            order=pieces.order(wanted, engine) if wanted is not None and engine is not None else (),
            host_ip=engine.gateway if engine is not None else "",
            holds=self._keeper.holds.get(instance, {}) if wanted is not None else {},
            checks={one.id: check for one in made if (check := self._keeper.probes.check(one.id)) is not None},
            restarts=self._keeper.restarts,
            ended=self._ended,
            before=self._conditions.get(uid, ()),
        )
        found = status.build(made, known, now=self._clock.now())
        self._conditions[uid] = found.conditions
        incarnation = next((one.mark.incarnation for one in made if one.mark.incarnation), "")
        return cluster.Instance(
            namespace=instance.namespace,
            unit=unit,
            name=instance.name,
            uid=uid,
            incarnation=incarnation,
            node=self._nodes[0].name if self._nodes else "",
            leaving=replaced or instance in self._keeper.leaving,
            status=status.plain(found),
        )

    def _seen(self, before: model.Container | None, now: model.Container | None) -> None:
        one = now or before
        assert one is not None
        if now is None:
            self._keeper.forget(one)
            self._ended.pop(one.id, None)
        else:
            if now.was_started and now.state.status in ("exited", "restarting", "dead"):
                self._ended[one.id] = status.terminated(now)
            self._observe(one.mark.instance)
        self._keeper.look(one.mark.instance)
        self._changed(meta.Key(one.mark.namespace, one.mark.unit))

    def _observe(self, instance: marks.Instance) -> None:
        """Let probes and hooks follow an instance."""
        if self._group is not None:
            for each in self._view.of(instance):
                self._keeper.observe(each, self._group)

    def _listed(self) -> None:
        if not self._told:
            # The view became whole, perhaps of an engine without any container.
            self._told = True
            self._changed(None)
        group = self._group
        if group is not None:
            group.create_task(self._ask())
            for one in list(self._view.all()):
                self._keeper.observe(one, group)
                self._keeper.look(one.mark.instance)
        alive = {one.mark.uid for one in self._view.all()} | {
            one.pod.metadata.uid for one in self._keeper.wanted.values()
        }
        self._conditions = {uid: found for uid, found in self._conditions.items() if uid in alive}

    async def _ask(self) -> None:
        """What the engine says of itself; it may have become another."""
        info = await self._link.call("GET", "/info")
        shown = (place.node(info),)
        if shown != tuple(self._nodes):
            self._nodes = shown
            self._changed(None)

    def _tell(self, instance: marks.Instance) -> None:
        wanted = self._keeper.wanted.get(instance)
        if wanted is not None:
            self._changed(wanted.share.key)

    def _address(self, instance: marks.Instance) -> str:
        """Where an instance can be spoken to; containers that share a network have the address of who holds it."""
        wanted = self._keeper.wanted.get(instance)
        if wanted is not None and wanted.pod.spec.hostNetwork:
            return "127.0.0.1"
        return next((one.ip for one in self._view.of(instance) if one.ip), "")


def _refuse(name: str, known: Mapping[str, Mapping[str, str]], what: str, fleet: str) -> None:
    table = known.get(name)
    if table is not None and table.get(marks.FLEET) != fleet:
        owner = table.get(marks.FLEET)
        whose = f"another fleet ({owner})" if owner else "somebody else"
        raise cluster.Taken(
            f"the {what} {name} on the engine belongs to {whose}: rename or remove it there, or rename the Unit"
        )


def _order(one: tuple[tuple[marks.Instance, str], list[model.Container]]) -> tuple[str, str, str]:
    (instance, uid), _ = one
    return instance.namespace, instance.name, uid


def _cause(several: BaseExceptionGroup[BaseException]) -> BaseException:
    """What ended a group, where it was one thing."""
    causes = [one for one in several.exceptions if not isinstance(one, asyncio.CancelledError)]
    first = causes[0] if causes else several
    return _cause(first) if isinstance(first, BaseExceptionGroup) else first
