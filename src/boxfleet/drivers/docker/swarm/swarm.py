"""A Swarm as a cluster (`ports.cluster.Cluster`), by the API of one of its managers."""

import base64
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from boxfleet.api import meta, tunnel
from boxfleet.drivers.docker import connection, faults, given, marks, place, report, streaming, usage
from boxfleet.drivers.docker import model as containers
from boxfleet.drivers.docker import status as engine_status
from boxfleet.drivers.docker import support as engine_support
from boxfleet.drivers.docker.swarm import model, specs, status, support, view
from boxfleet.kit import clock as clocks
from boxfleet.planning import pod_volumes, pull_secrets
from boxfleet.ports import cluster, streams

# Words of the engine when somebody else changed a service at the same moment.
_RACED: Final = "update out of sequence"
_TRIES: Final = 5


class Swarm:
    """A Swarm; whoever made the connection closes it."""

    def __init__(self, link: connection.Connection, wish: place.Wish, *, clock: clocks.Clock) -> None:
        self._link = link
        self._wish = wish
        self._clock = clock
        self._look = view.Look()
        self._synced = False
        self._changed: Callable[[meta.Key | None], None] = lambda _key: None
        self._wanted: dict[marks.Instance, given.Given] = {}
        self._conditions: dict[str, Sequence[meta.Condition]] = {}
        self._engine: given.Engine | None = None
        self._usage = usage.Usage(link, clock=clock)

    async def check(self) -> cluster.Report:
        """Look at the Swarm without changing anything."""
        found = await report.look(self._link, self._wish, clock=self._clock)
        nodes = (await view.look(self._link, self._wish.fleet)).nodes
        return msgspec.structs.replace(found, version=f"{found.version}, Swarm", nodes=nodes)

    async def run(self, changed: Callable[[meta.Key | None], None]) -> None:
        """Keep the view up to date until cancelled."""
        self._changed = changed
        try:
            await view.follow(self._link, self._wish.fleet, self._seen)
        finally:
            self._synced = False

    @property
    def synced(self) -> bool:
        """Whether the view is whole and fresh."""
        return self._synced

    def instances(self, key: meta.Key | None = None) -> Sequence[cluster.Instance]:
        """The instances of a Unit, or of the fleet."""
        orders: dict[tuple[marks.Instance, str], list[model.Task]] = {}
        units: dict[marks.Instance, str] = {}
        current = {one.mark.instance: one for one in self._look.services}
        for service in self._look.services:
            orders[service.mark.instance, service.mark.uid] = []
            units[service.mark.instance] = service.mark.unit
        for task in self._look.tasks:
            instance, uid = task.mark.instance, task.mark.uid
            service_of = current.get(instance)
            is_current = service_of is not None and service_of.id == task.service and service_of.mark.uid == uid
            if is_current or task.state == "running" or task.state in model.COMING:
                orders.setdefault((instance, uid), []).append(task)
                units.setdefault(instance, task.mark.unit)
        found = []
        for (instance, uid), tasks in sorted(orders.items(), key=lambda one: (one[0][0].namespace, one[0][0].name)):
            if key is not None and (instance.namespace, units[instance]) != (key.namespace, key.name):
                continue
            service_of = current.get(instance)
            leaving = service_of is None or service_of.mark.uid != uid
            replaced = any(each != uid and one == instance and tasks for (one, each), tasks in orders.items())
            if not leaving and not tasks and replaced:
                # Until what it replaces is gone it is not there.
                continue
            found.append(self._instance(instance, uid, units[instance], tasks, service_of, leaving=leaving))
        return found

    def nodes(self) -> Sequence[cluster.Node]:
        """Its hosts."""
        return self._look.nodes

    async def deliver(self, share: cluster.Share) -> None:
        """Make the Unit's services be what the share says."""
        engine = await self._place()
        wanted = {}
        for ordinal in share.orders:
            one = given.read(share, ordinal)
            support.check(one, engine)
            if engine_support.asks_for_address(one.pod.spec):
                raise cluster.Unsupported(
                    f"{one.pod.metadata.name}: status.podIP: a Swarm chooses addresses when it starts an instance: "
                    "use a domain name"
                )
            with contextlib.suppress(pod_volumes.Missing):
                specs.files(one, engine)
            wanted[marks.Instance(namespace=share.namespace, name=one.pod.metadata.name)] = one
        there = {one["Spec"]["Name"]: view.service(one) for one in await self._link.call("GET", "/services")}
        for instance in wanted:
            _refuse(specs.name(instance.namespace, instance.name), there, self._wish.fleet)
        for instance, one in wanted.items():
            self._wanted[instance] = one
            service = there.get(specs.name(instance.namespace, instance.name))
            if service is None or service.labels.get(marks.HASH) != specs.fingerprint(one):
                await self._order(one, engine, service, again=False)
        gone = [one for one in self._of(share.key, there.values()) if one.mark.instance not in wanted]
        await self._remove(gone)
        await self._tidy(share.key)
        await self._refresh()
        self._changed(share.key)

    async def withdraw(self, key: meta.Key) -> None:
        """Take away all that was made for a Unit; our own network stays, as tasks that end still use it."""
        params = {"filters": marks.filters(self._wish.fleet)}
        there = [view.service(one) for one in await self._link.call("GET", "/services", params=params)]
        await self._remove(self._of(key, there))
        await self._tidy(key)
        await self._refresh()

    async def renew(self, namespace: str, name: str) -> None:
        """End one instance, and make it anew with the files of now; one that is not there is no fault."""
        instance = marks.Instance(namespace=namespace, name=name)
        wanted = self._wanted.get(instance)
        if wanted is None:
            return
        params = {"filters": marks.filters(self._wish.fleet, namespace=namespace, pod=name)}
        for one in await self._link.call("GET", "/services", params=params):
            await self._order(wanted, await self._place(), view.service(one), again=True)
        await self._tidy(wanted.share.key)
        await self._refresh()

    async def stream(self, order: tunnel.Order, channels: streams.Channels) -> bytes:
        """Carry out logs anywhere, and exec, attach and port-forward on the manager that is spoken to."""
        if isinstance(order, tunnel.UsageOrder):
            raise streams.Refusal("usage is no stream here", code=400, reason="BadRequest")
        tasks = [
            one
            for one in (await view.look(self._link, self._wish.fleet)).tasks
            if (one.mark.namespace, one.mark.pod, one.mark.uid) == (order.namespace, order.pod, order.uid)
        ]
        if not tasks:
            raise streams.Refusal(f'pods "{order.pod}" not found', code=404, reason="NotFound")
        newest = next((one for one in reversed(tasks) if one.state == "running"), tasks[-1])
        if isinstance(order, tunnel.LogOrder):
            container = await self._container(newest)
            # Of a container on another host the Swarm's own log is all there is.
            path = f"/containers/{newest.container}" if container is not None else f"/tasks/{newest.id}"
            tty = container is not None and container.config.tty
            started = bool(newest.container)
            return await streaming.logs(self._link, order, channels, path=path, started=started, tty=tty)
        if await self._container(newest) is None:
            host = self._look.hosts.get(newest.node, newest.node)
            raise streams.Refusal(
                f"pod {order.pod} is on the host {host} of the Swarm, and the manager that Boxfleet speaks to reaches "
                "into containers on its own host only: use docker exec there; logs can be read from everywhere",
                code=400,
                reason="BadRequest",
            )
        return await streaming.run(self._link, self._wish.fleet, await self._place(), order, channels)

    async def usage(self, node: str) -> tunnel.UsageReport:
        """What the manager's own containers use. Raises Unsupported for other hosts."""
        info = await self._link.call("GET", "/info")
        own = self._look.hosts.get((info.get("Swarm") or {}).get("NodeID", ""), "")
        if node and node != own:
            raise cluster.Unsupported(f"a Swarm measures on its manager's own host ({own}) only, not on {node}")
        ours = await self._link.call("GET", "/containers/json", params={"filters": marks.filters(self._wish.fleet)})
        found = [await self._link.call("GET", f"/containers/{one['Id']}/json") for one in ours]
        return await self._usage.measure(containers.read(one) for one in found)

    async def close(self) -> None:
        """Nothing is held here."""

    async def _place(self) -> given.Engine:
        if self._engine is None:
            self._engine = await place.look(self._link, self._wish, overlay=True)
        return self._engine

    async def _container(self, task: model.Task) -> containers.Container | None:
        """The container of a task, if it is on the host of the manager."""
        if not task.container:
            return None
        try:
            return containers.read(await self._link.call("GET", f"/containers/{task.container}/json"))
        except faults.NotFound:
            return None

    async def _order(
        self, wanted: given.Given, engine: given.Engine, service: view.Service | None, *, again: bool
    ) -> None:
        """Create or change a service. Raises ClusterFaults."""
        try:
            kept = [(one, await self._keep(one)) for one in specs.files(wanted, engine)]
            for _ in range(_TRIES):
                forced = (service.forced if service is not None else 0) + (1 if again else 0)
                body = specs.service(wanted, engine, kept, forced=forced)
                headers = _registry(wanted)
                try:
                    if service is None:
                        await self._link.call("POST", "/services/create", body=body, headers=headers)
                    else:
                        path, params = f"/services/{service.id}/update", {"version": service.version}
                        await self._link.call("POST", path, params=params, body=body, headers=headers)
                    return
                except faults.NotFound:
                    # Its network may have been taken away.
                    self._engine = None
                    raise
                except faults.Conflict:
                    # Another server of the fleet was faster.
                    service = view.service(await self._link.call("GET", f"/services/{body['Name']}"))
                except cluster.ClusterFault as error:
                    if service is None or _RACED not in str(error):
                        raise
                    service = view.service(await self._link.call("GET", f"/services/{service.id}"))
        except pod_volumes.Missing as error:
            raise cluster.ClusterFault(f"cannot deliver {wanted.pod.metadata.name}: {error}") from None
        raise cluster.ClusterFault(f"cannot deliver {wanted.pod.metadata.name}: its service changes all the time")

    async def _keep(self, one: specs.Kept) -> str:
        """Have a config or secret; its id. Raises ClusterFaults."""
        kind = "secrets" if one.hidden else "configs"
        filters = {"filters": {"name": [one.name]}}
        for _ in range(2):
            for each in await self._link.call("GET", f"/{kind}", params=filters):
                if each["Spec"]["Name"] == one.name:
                    return str(each["ID"])
            with contextlib.suppress(faults.Conflict):
                made = await self._link.call("POST", f"/{kind}/create", body=one.body)
                return str(made["ID"])
        raise cluster.ClusterFault(f"cannot keep {one.target} in the Swarm: {one.name} comes and goes")

    async def _remove(self, services: Iterable[view.Service]) -> None:
        for one in services:
            self._wanted.pop(one.mark.instance, None)
            with contextlib.suppress(faults.NotFound):
                await self._link.call("DELETE", f"/services/{one.id}")

    async def _tidy(self, key: meta.Key) -> None:
        """Remove files that no service of a Unit uses any more; those in use refuse to go."""
        filters = {"filters": marks.filters(self._wish.fleet, namespace=key.namespace, unit=key.name)}
        for kind in ("configs", "secrets"):
            for one in await self._link.call("GET", f"/{kind}", params=filters):
                try:
                    await self._link.call("DELETE", f"/{kind}/{one['ID']}")
                except cluster.Unreachable:
                    raise
                except cluster.ClusterFault:
                    continue

    async def _refresh(self) -> None:
        if self._synced:
            self._seen(await view.look(self._link, self._wish.fleet))

    def _of(self, key: meta.Key, services: Iterable[view.Service]) -> list[view.Service]:
        return [
            one
            for one in services
            if one.labels.get(marks.FLEET) == self._wish.fleet
            and (one.mark.namespace, one.mark.unit) == (key.namespace, key.name)
        ]

    def _instance(
        self,
        instance: marks.Instance,
        uid: str,
        unit: str,
        tasks: Sequence[model.Task],
        service: view.Service | None,
        *,
        leaving: bool,
    ) -> cluster.Instance:
        spec = service.spec if service is not None else {}
        template = spec.get("TaskTemplate") or {}
        condition = (template.get("RestartPolicy") or {}).get("Condition", "any")
        inner = template.get("ContainerSpec") or {}
        newest = tasks[-1] if tasks else None
        known = (inner.get("Labels") or {}).get(marks.CONTAINER, "")
        found = status.build(
            tasks,
            image=inner.get("Image") or (newest.image if newest is not None else ""),
            name=(newest.mark.container if newest is not None else "") or known,
            policy={"any": "Always", "on-failure": "OnFailure"}.get(condition, "Never"),
            before=self._conditions.get(uid, ()),
            now=self._clock.now(),
        )
        self._conditions[uid] = found.conditions
        return cluster.Instance(
            namespace=instance.namespace,
            unit=unit,
            name=instance.name,
            uid=uid,
            incarnation=newest.id if newest is not None else "",
            node=self._look.hosts.get(newest.node, "") if newest is not None else "",
            leaving=leaving,
            status=engine_status.plain(found),
        )

    def _seen(self, look: view.Look) -> None:
        before, self._look = self._look, look
        fresh, self._synced = not self._synced, True
        if look.nodes != before.nodes or fresh:
            self._changed(None)
        touched = _differing(before.services, look.services) | _differing(before.tasks, look.tasks)
        alive = {one.mark.uid for one in look.services} | {one.mark.uid for one in look.tasks}
        self._conditions = {uid: found for uid, found in self._conditions.items() if uid in alive}
        for key in touched:
            self._changed(key)


class _Marked(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def mark(self) -> marks.Mark: ...


def _differing(before: Sequence[_Marked], now: Sequence[_Marked]) -> set[meta.Key]:
    """The Units of all that came, went or changed."""
    old, new = {one.id: one for one in before}, {one.id: one for one in now}
    changed = [one for one in (*before, *now) if old.get(one.id) != new.get(one.id)]
    return {meta.Key(one.mark.namespace, one.mark.unit) for one in changed}


def _refuse(name: str, there: Mapping[str, view.Service], fleet: str) -> None:
    service = there.get(name)
    if service is not None and service.labels.get(marks.FLEET) != fleet:
        owner = service.labels.get(marks.FLEET)
        whose = f"another fleet ({owner})" if owner else "somebody else"
        raise cluster.Taken(
            f"the service {name} of the Swarm belongs to {whose}: rename or remove it there, or rename the Unit"
        )


def _registry(wanted: given.Given) -> dict[str, str]:
    """The name and password that the Swarm's hosts show the image's registry."""
    image = wanted.pod.spec.containers[0].image
    keys = pull_secrets.look_up(image, pull_secrets.names(wanted.pod.spec, None), wanted.secrets)
    if not keys.credentials:
        return {}
    first = keys.credentials[0]
    host, _ = pull_secrets.split(image)
    shown: dict[str, Any] = {"username": first.username, "password": first.password, "serveraddress": host}
    return {"X-Registry-Auth": base64.urlsafe_b64encode(msgspec.json.encode(shown)).decode()}
