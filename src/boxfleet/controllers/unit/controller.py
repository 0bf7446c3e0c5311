"""The Unit controller's loop."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

from boxfleet.api import address, address_pool, box, cluster, labels, meta, placement, pod, unit
from boxfleet.client import client, errors, loop
from boxfleet.client import events as recorders
from boxfleet.controllers import caches, quotas, settings
from boxfleet.controllers.unit import gate, make, observe, refresh, remove, render, report
from boxfleet.kit import clock, tasks
from boxfleet.planning import adoption, coupling, dependencies, instances, manifest, rollout, unit_status

# Seconds after which a name that someone else had is tried again; its release is not an event of ours.
_CONFLICT_RETRY = 1.0
# Seconds after which a Unit that is over a quota tries again, should nothing tell of room before.
_QUOTA_RETRY = 30.0
# Replicas up to which every change of a Pod is acted on at once, and the seconds that each further one adds.
_AT_ONCE = 30
_PAUSE_EACH = 0.0002
# Seconds that a change of a Pod waits which alters nothing but words in the Unit's status.
_WORDS_PAUSE = 0.2
_WATCHED_CONDITIONS = ("Started", "Ready", "Completed")


class UnitController:
    """Unit -> instances."""

    def __init__(
        self,
        api: client.Client,
        indexed: caches.Indexed,
        *,
        events: recorders.Recorder,
        clock: clock.Clock,
        settings: settings.Settings,
    ) -> None:
        self._api = api
        self._indexed = indexed
        # Asked for here, so that it is there before the first Unit is looked at.
        indexed.shared.of(cluster.Cluster)
        self._events = events
        self._clock = clock
        self._settings = settings
        self._boxes = indexed.shared.of(box.Box)
        self._pools = indexed.shared.of(address_pool.AddressPool)
        self._renderer = render.Renderer(addresses=self._reached, suffix=settings.domain)
        self._views = observe.Views()
        self._replacements = remove.Replacements(clock=clock)
        self._reports = report.Reports(clock=clock)
        self._quotas = quotas.Quotas(indexed.shared)
        # Units that wait for room in a quota.
        self._over_quota: set[meta.Key] = set()
        self._loop: loop.Loop[meta.Key] = loop.Loop("unit", self.reconcile)
        self.run = self._loop.run
        self._listen()

    async def reconcile(self, key: meta.Key) -> float | None:
        """Make one Unit right."""
        subject = self._indexed.units.get(key)
        if subject is None or subject.metadata.deletionTimestamp:
            self._renderer.forget(key)
            self._over_quota.discard(key)
            self._replacements.forget(key)
            self._reports.forget(key)
            return None
        situation = observe.observe(subject, self._indexed, self._boxes, views=self._views)
        renderings = await self._renderer.render(situation)
        revision = manifest.revision(subject.spec)
        addresses = self._addresses(subject)
        steps = rollout.plan(
            replicas=subject.spec.replicas,
            existing=situation.instances,
            outdated=_outdated(situation, renderings, addresses, revision=revision),
            restart_policy=situation.template.spec.restartPolicy,
        )
        judge = functools.partial(
            gate.judge,
            situation,
            renderings=renderings,
            addresses=addresses,
            address_problem=functools.partial(self._address_problem, key.namespace),
            obstacles=self._obstacles(situation, steps.missing),
        )
        making = judge(steps.missing)
        # What would have to wait once it is gone is not replaced.
        turning = judge([each.ordinal for each in steps.outdated])
        blocked = making.blocked or turning.blocked
        again = None
        try:
            await self._carry_out(situation, steps, making, turning, renderings, revision=revision)
        except make.NameTaken as taken:
            blocked = dependencies.Blocked(gate.NAME_CONFLICT, str(taken))
        except make.ClaimGoing as going:
            blocked = dependencies.Blocked(gate.WAITING_FOR_CLAIM, str(going))
        except errors.Forbidden as refused:
            if not refused.over_quota:
                raise
            blocked = dependencies.Blocked(gate.QUOTA_EXCEEDED, refused.message)
        self._over_quota.discard(key)
        if blocked is not None and blocked.reason == gate.QUOTA_EXCEEDED:
            self._over_quota.add(key)
            again = _QUOTA_RETRY
        if blocked is not None and blocked.reason in (gate.NAME_CONFLICT, gate.QUOTA_EXCEEDED):
            said = meta.find_condition(subject.status.conditions, "Progressing")
            if said is None or blocked.message not in said.message:
                self._events.warning(subject, blocked.reason, blocked.message)
            again = again or _CONFLICT_RETRY
        failed_again = await self._replace_failed(key, steps.failed)
        waits = [seconds for seconds in (again, failed_again) if seconds is not None]
        status = unit_status.compute(
            subject,
            existing=situation.instances,
            updated=steps.updated,
            revision=revision,
            restart_policy=situation.template.spec.restartPolicy,
            blocked=blocked,
            render_error=renderings.error,
            now=clock.stamp(self._clock.now()),
            suffix=self._settings.domain,
        )
        later = self._reports.wait(subject, status)
        if later > 0:
            return min(*waits, later) if waits else later
        if status != subject.status:
            self._reports.said(key)
        await report.report(self._api, subject, status)
        await report.report_shares(self._api, situation.shares, situation.instances)
        return min(waits) if waits else None

    async def _carry_out(
        self,
        situation: observe.Situation,
        steps: rollout.Steps,
        making: gate.Verdict,
        turning: gate.Verdict,
        renderings: render.Renderings,
        *,
        revision: str,
    ) -> None:
        """All writes about instances; those that fail do not keep the others from being tried."""
        namespace = situation.unit.metadata.namespace
        may_turn = {each.ordinal for each in turning.ready}
        going = [*steps.surplus, *(each for each in steps.outdated if each.ordinal in may_turn)]
        gone = {each.uid for each in going}
        going += [each for each in situation.instances if each.uid in situation.lost and each.uid not in gone]
        for each in going:
            if (what := situation.lost.get(each.uid)) is not None:
                words = f"instance {each.name} leaves {each.node}, where nobody provides {what} any more"
                self._events.normal(situation.unit, "ProviderGone", words)
        leaving = {each.uid for each in going} | {each.uid for each in steps.failed}
        work = [remove.remove(self._api, each, namespace=namespace) for each in going]
        scheduler = labels.HUB_SCHEDULER if self._settings.hub else ""
        work += [make.make(self._api, situation, each, revision=revision, scheduler=scheduler) for each in making.ready]
        staying = [
            each
            for each in situation.instances
            if each.uid not in leaving and each.ordinal < situation.unit.spec.replicas
        ]
        if situation.unit.spec.volumeClaimTemplates:
            work += [
                make.complete(self._api, situation, each.ordinal)
                for each in staying
                if each.pending and make.lacks_claims(situation, each.ordinal)
            ]
        if situation.unit.spec.files:
            work += [refresh.refresh(self._api, situation, each, renderings=renderings) for each in staying]
        await tasks.gather(work, limit=self._settings.concurrency)

    async def _replace_failed(self, key: meta.Key, failed: Sequence[instances.Instance]) -> float | None:
        waits = []
        for each in failed:
            seconds = self._replacements.wait(key, each)
            if seconds > 0:
                waits.append(seconds)
            else:
                await remove.remove(self._api, each, namespace=key.namespace)
        return min(waits) if waits else None

    def _obstacles(self, situation: observe.Situation, ordinals: Sequence[int]) -> dict[int, dependencies.Blocked]:
        """Pods of others that have the names of missing instances, and claims of theirs that are being deleted."""
        subject = situation.unit
        found = {}
        for ordinal in ordinals:
            if (going := _claim_going(situation, ordinal)) is not None:
                found[ordinal] = dependencies.Blocked(gate.WAITING_FOR_CLAIM, str(going))
            other = self._indexed.pods.find(
                manifest.instance_name(subject, ordinal), namespace=subject.metadata.namespace
            )
            if other is None or adoption.is_orphan_of(manifest.instance_labels(subject, ordinal), other):
                continue
            if meta.controller_uid(other) != subject.metadata.uid:
                found[ordinal] = dependencies.Blocked(gate.NAME_CONFLICT, str(make.NameTaken(other)))
        return found

    def _addresses(self, subject: unit.Unit) -> dict[str, str]:
        return observe.address_map(subject, self._indexed)

    def _reached(self, subject: unit.Unit) -> dict[str, str]:
        return observe.reach_map(subject, self._indexed)

    def _address_problem(self, namespace: str) -> dependencies.Blocked | None:
        if why := self._quotas.addresses_used_up(namespace):
            return dependencies.Blocked(gate.QUOTA_EXCEEDED, why)
        said = [meta.find_condition(pool.status.conditions, "Available") for pool in self._pools]
        problems = [each.message for each in said if each is not None and each.status == "False"]
        if len(problems) < len(said):
            return None
        missing = f"there is no AddressPool: create one, for example {self._settings.pool}"
        return dependencies.Blocked("AddressPoolFull", "; ".join(problems) or missing)

    def _listen(self) -> None:
        self._indexed.units.listen(self._unit_changed)
        self._indexed.pods.listen(self._pod_changed)
        self._indexed.claims.listen(self._owned_changed)
        self._indexed.files.listen(self._owned_changed)
        self._indexed.placements.listen(self._placement_changed)
        self._indexed.addresses.listen(self._address_changed)
        self._pools.listen(self._pool_changed)
        self._quotas.listen(self._quota_changed)

    def _unit_changed(self, old: unit.Unit | None, new: unit.Unit | None) -> None:
        subject = new or old
        if subject is None:
            return
        self._loop.add(subject.key)
        # Its own counts concern nobody else; what it is and how far it is may concern every Unit of the Box.
        if old is None or new is None or _matters(old) != _matters(new):
            self._add_siblings(subject)
        if (old.spec.provides if old is not None else []) != (new.spec.provides if new is not None else []):
            # Those who wait are told who would provide it.
            self._add_consumers(subject.metadata.namespace)

    def _pod_changed(self, old: pod.Pod | None, new: pod.Pod | None) -> None:
        before = self._views.of(old) if old is not None else None
        after = self._views.of(new) if new is not None else None
        if new is None and old is not None:
            self._views.forget(old.key)
        self._tell_consumers(old, new)
        key = caches.owner_key(new or old, unit.Unit)
        if key is None:
            return
        pause = 0.0
        if before is not None and after is not None and _owner(old) == _owner(new):
            if before == after:
                return
            if _without_words(before) == _without_words(after):
                pause = _WORDS_PAUSE
        owner = self._indexed.units.get(key)
        replicas = owner.spec.replicas if owner is not None else 0
        # Every look at a Unit costs time by its size: many changes of a large one are looked at together.
        self._loop.add_after(key, max(pause, max(0, replicas - _AT_ONCE) * _PAUSE_EACH))

    def _tell_consumers(self, old: pod.Pod | None, new: pod.Pod | None) -> None:
        """Whoever consumes what an instance provides minds when it has its place no more."""
        if old is None or not coupling.provides(old) or _place(old) == _place(new):
            return
        self._add_consumers(old.metadata.namespace)

    def _add_consumers(self, namespace: str) -> None:
        for each in self._indexed.units:
            if each.metadata.namespace == namespace and each.spec.consumes:
                self._loop.add(each.key)

    def _owned_changed(self, old: meta.Object | None, new: meta.Object | None) -> None:
        key = caches.owner_key(new or old, unit.Unit)
        if key is not None:
            self._loop.add(key)

    def _placement_changed(self, old: placement.Placement | None, new: placement.Placement | None) -> None:
        subject = new or old
        # Its status is our own writing.
        if subject is not None and (old is None or new is None or old.spec != new.spec):
            self._loop.add(meta.Key(subject.metadata.namespace, subject.spec.unit))

    def _address_changed(self, old: address.Address | None, new: address.Address | None) -> None:
        subject = new or old
        # Whether it answers is the name server's matter; here it counts that it is there.
        if subject is None or not subject.spec.unit:
            return
        if old is not None and new is not None and (old.spec, _where(old)) == (new.spec, _where(new)):
            return
        key = meta.Key(subject.spec.namespace, subject.spec.unit)
        self._loop.add(key)
        if (owner := self._indexed.units.get(key)) is not None:
            self._add_siblings(owner)

    def _pool_changed(self, old: address_pool.AddressPool | None, new: address_pool.AddressPool | None) -> None:
        # Only whether it is full is said in a Unit's status.
        if old is not None and new is not None and old.status.conditions == new.status.conditions:
            return
        for each in self._indexed.units:
            self._loop.add(each.key)

    def _quota_changed(self) -> None:
        for key in self._over_quota:
            self._loop.add(key)

    def _add_siblings(self, subject: unit.Unit) -> None:
        if not subject.spec.box:
            return
        for each in self._indexed.units.by_index(caches.BOX, f"{subject.metadata.namespace}/{subject.spec.box}"):
            if each.spec.dependsOn or each.spec.env or each.spec.files:
                self._loop.add(each.key)


def _outdated(
    situation: observe.Situation, renderings: render.Renderings, addresses: Mapping[str, str], *, revision: str
) -> dict[int, bool]:
    result = {}
    for each in situation.instances:
        rendered = renderings.done.get(each.ordinal)
        # What cannot be rendered now does not make an instance outdated, nor does a new address of a peer make an
        # instance run again that has ended well.
        same_env = rendered is None or each.succeeded or each.env_hash == rendered.env_hash
        # Its address went to someone else: it may not go on with it.
        same_address = not each.address or addresses.get(each.name, each.address) == each.address
        # The scheduler may have given it to another cluster.
        same_cluster = situation.clusters.get(each.ordinal, each.cluster) == each.cluster
        result[each.ordinal] = each.revision != revision or not (same_env and same_address and same_cluster)
    return result


def _claim_going(situation: observe.Situation, ordinal: int) -> make.ClaimGoing | None:
    """A Pod with a claim that goes would have none soon, and what is in the claim goes with it."""
    for name in manifest.claim_names(situation.unit, ordinal=ordinal):
        claim = situation.claims.get(name)
        if claim is not None and claim.metadata.deletionTimestamp:
            return make.ClaimGoing(claim, instance=manifest.instance_name(situation.unit, ordinal))
    return None


def _where(subject: address.Address) -> str:
    return subject.status.reachedAt


def _place(subject: pod.Pod | None) -> str:
    """The node where an instance is to stay."""
    if subject is None or subject.metadata.deletionTimestamp or subject.status.has_ended:
        return ""
    return subject.spec.nodeName


def _owner(subject: pod.Pod | None) -> str:
    return meta.controller_uid(subject) if subject is not None else ""


def _without_words(one: instances.Instance) -> instances.Instance:
    return dataclasses.replace(one, node="", problem="", pending=False)


def _matters(subject: unit.Unit) -> object:
    status = subject.status
    said = [meta.find_condition(status.conditions, each) for each in _WATCHED_CONDITIONS]
    return (
        subject.metadata.generation,
        subject.metadata.uid,
        bool(subject.metadata.deletionTimestamp),
        status.observedGeneration,
        [(each.status, each.message) for each in said if each is not None],
    )
