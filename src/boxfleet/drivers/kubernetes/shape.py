"""Which native objects a share becomes. Nothing here asks the cluster.

Instances whose Pods differ only by their own name are in one StatefulSet named UNIT (the run), so that their Pods are
named as they are. An instance that does not fit there (its ordinal is no continuation, or its environment is of another
kind) has a StatefulSet of its own named UNIT-ORDINAL with one Pod, UNIT-ORDINAL-0. What runs to its end is a plain Pod.
An instance stays where it is: moving it would end it.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from boxfleet.api import labels, wellknown
from boxfleet.drivers.kubernetes import names, settings, template
from boxfleet.planning import manifest
from boxfleet.ports import cluster

JsonObject = dict[str, Any]

# Bytes of files that one ConfigMap takes: 1 MiB with all that it says besides.
_FILES_LIMIT: Final = 900 * 1024
_OPAQUE: Final = "Opaque"
_TOKEN: Final = "kubernetes.io/service-account-token"  # noqa: S105  # a type


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What the cluster knows: StatefulSets that begin at another ordinal than 0, and the version of budgets."""

    starts: bool = False
    budgets: names.Kind | None = names.BUDGETS


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """What there is of the Unit: StatefulSets by name."""

    sets: Mapping[str, JsonObject] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(slots=True, kw_only=True)
class Plan:
    """Native objects, in the order in which they are to be there, and what is to be of the Pods.

    `kept` are objects that are made once and then only grow. `empty` are StatefulSets without any order. `orders` gives
    the uid that a Pod of a StatefulSet must have been made by; a Pod that it does not name must be away. `once` are
    plain Pods by name.
    """

    objects: list[tuple[names.Kind, JsonObject]] = dataclasses.field(default_factory=list)
    kept: list[JsonObject] = dataclasses.field(default_factory=list)
    sets: list[JsonObject] = dataclasses.field(default_factory=list)
    empty: list[str] = dataclasses.field(default_factory=list)
    orders: dict[str, str] = dataclasses.field(default_factory=dict)
    once: dict[str, JsonObject] = dataclasses.field(default_factory=dict)
    # The StatefulSet whose claims are other ones now: it is let go of and made anew around its Pods.
    anew: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Each:
    """One order: as it is, and as it would be in the run, if it can."""

    ordinal: int
    uid: str
    revision: str
    created: str
    own: template.Template
    common: template.Template | None


def plan(own: settings.Settings, share: cluster.Share, *, present: Present, server: Server) -> Plan:
    """The objects of a share. Raises Unsupported."""
    names.check_set(f"{share.unit}-{max(share.ordinals, default=0)}")
    every = {ordinal: _each(own, share, ordinal) for ordinal in sorted(share.orders)}
    made = Plan()
    once = {n: each for n, each in every.items() if template.runs_once(each.own.spec)}
    run = _Run(own, share, {n: each for n, each in every.items() if n not in once}, present, server)
    _put_sources(own, share, made, run)
    _put_claims(own, share, made)
    if set(every) - set(once) or present.sets:
        _put_services(own, share, made, every, run)
    if share.min_available is not None and server.budgets is not None:
        made.objects.append((server.budgets, _budget(own, share, server.budgets)))
    run.put(made)
    for ordinal in sorted(set(share.ordinals) - set(run.members)):
        name = _name(share, ordinal)
        if ordinal in once:
            made.once[name] = _once(own, share, once[ordinal])
        elif ordinal in every:
            made.sets.append(_solo(own, share, every[ordinal]))
            made.orders[f"{name}-0"] = every[ordinal].uid
        elif name in present.sets:
            made.empty.append(name)
    return made


class _Run:
    """The StatefulSet of several: who is in it, and what its template is."""

    def __init__(
        self,
        own: settings.Settings,
        share: cluster.Share,
        every: Mapping[int, _Each],
        present: Present,
        server: Server,
    ) -> None:
        self._own = own
        self._share = share
        self._every = every
        self._present = present
        self._there = present.sets.get(share.unit)
        self._uniform = self._annotation(names.UNIFORM)
        self.start, self._end = self._extent(server)
        self._leader = self._lead()
        self.members = self._members()
        self.ordered = {n: every[n] for n in self.members if n in every}

    def put(self, made: Plan) -> None:
        """Add the StatefulSet and its orders to a plan."""
        share, leader = self._share, self._leader
        if not self.ordered or leader is None or leader.common is None:
            if self._there is not None and set(self.members) & set(share.ordinals):
                made.empty.append(share.unit)
            return
        revisions = [each.revision for each in self.ordered.values() if each.common == leader.common]
        uniform = leader.revision if len(revisions) > 1 else self._uniform
        orders = {n: each.uid for n, each in self.ordered.items()}
        common = template.with_files(leader.common, manifest.files_name(share.unit))
        spec = _set_spec(
            self._own,
            share,
            dataclasses.replace(common, annotations=common.annotations | {names.ORDERS: names.orders_text(orders)}),
            replicas=self._replicas(),
            extra={},
        )
        if common.claims:
            spec["volumeClaimTemplates"] = self._claims(made, common.claims)
        elif self._there is not None and self._there["spec"].get("volumeClaimTemplates"):
            made.anew = share.unit
        if self.start:
            spec["ordinals"] = {"start": self.start}
        made.sets.append(
            _object(self._own, share, names.SETS, share.unit, annotations={names.UNIFORM: uniform}) | {"spec": spec}
        )
        made.orders |= {_name(share, n): uid for n, uid in orders.items()}

    def files(self) -> JsonObject | None:
        """The ConfigMap with the files of all members."""
        data: dict[str, str] = {}
        binary: dict[str, str] = {}
        for ordinal in self.ordered:
            instance = _name(self._share, ordinal)
            found = self._share.orders[ordinal].config_maps.get(manifest.files_name(instance)) or {}
            data |= {template.file_key(instance, key): text for key, text in (found.get("data") or {}).items()}
            binary |= {template.file_key(instance, key): text for key, text in (found.get("binaryData") or {}).items()}
        if not data and not binary:
            return None
        made = _object(self._own, self._share, names.CONFIG_MAPS, manifest.files_name(self._share.unit))
        return made | {"data": data, "binaryData": binary}

    def _annotation(self, name: str) -> str:
        if self._there is None:
            return ""
        return str((self._there["metadata"].get("annotations") or {}).get(name, ""))

    def _extent(self, server: Server) -> tuple[int, int]:
        """The first ordinal of the run, and the one after its last."""
        if self._there is not None:
            spec = self._there["spec"]
            start = int((spec.get("ordinals") or {}).get("start", 0))
            return start, start + int(spec.get("replicas", 1))
        start = min(self._share.ordinals, default=0) if server.starts else 0
        return start, start

    def _lead(self) -> _Each | None:
        """Whose template is everybody's: the newest one's, or the first of its revision while they differ by nature."""
        able = [each for n, each in self._every.items() if each.common is not None and n >= self.start]
        able = [each for each in able if _name(self._share, each.ordinal) not in self._present.sets]
        if not able:
            return None
        newest = max(able, key=lambda each: (each.created, each.ordinal))
        alike = [each for each in able if each.revision == newest.revision]
        if self._uniform == newest.revision:
            return newest
        return min(alike, key=lambda each: each.ordinal)

    def _members(self) -> list[int]:
        """Ordinals of the share that the run has, whether or not they have an order now."""
        found = []
        reach = self._end
        for ordinal in sorted(self._share.ordinals):
            solo = _name(self._share, ordinal) in self._present.sets
            if ordinal < self.start or solo:
                continue
            if ordinal < reach:
                if self._fits(ordinal, there=True):
                    found.append(ordinal)
            elif ordinal == reach and self._fits(ordinal, there=False):
                found.append(ordinal)
                reach += 1
        return found

    def _fits(self, ordinal: int, *, there: bool) -> bool:
        each, leader = self._every.get(ordinal), self._leader
        if leader is None:
            return there
        if each is None:
            # Its order is yet to come, or to come again.
            return True
        if each.common is None or each.common == leader.common:
            return each.common is not None
        if each.revision != leader.revision:
            # It is replaced in its turn.
            return there
        # Of one revision and not alike: their environment changes one by one, or they differ by nature.
        return there and self._uniform == leader.revision

    def _replicas(self) -> int:
        """How many Pods: up to the last one with an order, but not over a gap where no Pod keeps the place."""
        last = max(self.ordered)
        for ordinal in range(self.start, last):
            if ordinal not in self.ordered and ordinal >= self._end:
                last = ordinal - 1
                break
        return last - self.start + 1

    def _claims(self, made: Plan, wanted: tuple[str, ...]) -> list[JsonObject]:
        there = [] if self._there is None else self._there["spec"].get("volumeClaimTemplates") or []
        if self._there is not None:
            if sorted(each["metadata"]["name"] for each in there) == list(wanted):
                # They cannot be changed, and the claims themselves are made and grown here.
                return [{"metadata": {"name": each["metadata"]["name"]}, "spec": each["spec"]} for each in there]
            made.anew = self._share.unit
        first = min(self.ordered)
        claims = self._share.orders[first].claims
        instance = _name(self._share, first)
        return [
            {"metadata": {"name": each}, "spec": _claim_spec(self._own, claims[manifest.claim_name(each, instance)])}
            for each in wanted
        ]


def _each(own: settings.Settings, share: cluster.Share, ordinal: int) -> _Each:
    order = share.orders[ordinal]
    metadata = order.pod["metadata"]
    made = template.native(own, share, ordinal)
    instance = _name(share, ordinal)
    try:
        size = len(msgspec.json.encode(order.config_maps.get(manifest.files_name(instance), {})))
        fits = size * max(len(share.ordinals), 1) < _FILES_LIMIT
        common = template.generalized(made, instance) if fits else None
    except template.Special:
        common = None
    if common is not None and any(manifest.claim_name(each, instance) not in order.claims for each in common.claims):
        common = None
    return _Each(
        ordinal=ordinal,
        uid=metadata["uid"],
        revision=template.revision_of(order.pod),
        created=metadata.get("creationTimestamp") or "",
        own=made,
        common=common,
    )


def _name(share: cluster.Share, ordinal: int) -> str:
    return f"{share.unit}-{ordinal}"


def _object(
    own: settings.Settings,
    share: cluster.Share,
    kind: names.Kind,
    name: str,
    *,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> JsonObject:
    metadata: JsonObject = {
        "name": name,
        "namespace": names.space_there(own, share.namespace),
        "labels": names.marks(own, share) if labels is None else dict(labels),
    }
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}


def _selector(own: settings.Settings, share: cluster.Share) -> dict[str, str]:
    return {names.FLEET: own.fleet, labels.UNIT: share.unit}


def _set_spec(
    own: settings.Settings, share: cluster.Share, each: template.Template, *, replicas: int, extra: dict[str, str]
) -> JsonObject:
    return {
        "replicas": replicas,
        "serviceName": share.unit,
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "OnDelete"},
        "revisionHistoryLimit": 1,
        "selector": {"matchLabels": _selector(own, share) | extra},
        "template": {
            "metadata": {"labels": each.labels | extra, "annotations": each.annotations},
            "spec": each.spec,
        },
    }


def _solo(own: settings.Settings, share: cluster.Share, each: _Each) -> JsonObject:
    extra = {labels.ORDINAL: str(each.ordinal)}
    said = dataclasses.replace(each.own, annotations=each.own.annotations | {names.ORDER: each.uid})
    made = _object(own, share, names.SETS, _name(share, each.ordinal), labels=names.marks(own, share) | extra)
    return made | {"spec": _set_spec(own, share, said, replicas=1, extra=extra)}


def _once(own: settings.Settings, share: cluster.Share, each: _Each) -> JsonObject:
    marks = each.own.labels | {labels.ORDINAL: str(each.ordinal)}
    said = each.own.annotations | {names.ORDER: each.uid}
    made = _object(own, share, names.PODS, _name(share, each.ordinal), labels=marks, annotations=said)
    return made | {"spec": each.own.spec}


def _put_sources(own: settings.Settings, share: cluster.Share, made: Plan, run: _Run) -> None:
    """ConfigMaps and Secrets: those of instances are the Unit's own, others may be several Units'."""
    if (files := run.files()) is not None:
        made.objects.append((names.CONFIG_MAPS, files))
    shared = {names.FLEET: own.fleet, f"{names.USED_BY}{share.unit}": ""}
    done = set()
    for ordinal, order in sorted(share.orders.items()):
        mine = manifest.files_name(_name(share, ordinal))
        for name, source in sorted(order.config_maps.items()):
            if name == mine and ordinal in run.ordered:
                continue
            if name == wellknown.ROOT_CA:
                # The cluster keeps its own of this name in each Namespace.
                continue
            if (names.CONFIG_MAPS, name) not in done:
                done.add((names.CONFIG_MAPS, name))
                marks = names.marks(own, share) if name == mine else shared
                body = {key: source[key] for key in ("data", "binaryData") if source.get(key)}
                made.objects.append(
                    (names.CONFIG_MAPS, _object(own, share, names.CONFIG_MAPS, name, labels=marks) | body)
                )
        for name, source in sorted(order.secrets.items()):
            if (names.SECRETS, name) not in done:
                done.add((names.SECRETS, name))
                body = {"data": source.get("data") or {}, "type": _secret_type(source)}
                made.objects.append((names.SECRETS, _object(own, share, names.SECRETS, name, labels=shared) | body))


def _secret_type(source: JsonObject) -> str:
    """Its own, except that a token of Boxfleet's is none of an account there."""
    found = str(source.get("type") or _OPAQUE)
    return _OPAQUE if found == _TOKEN else found


def _put_claims(own: settings.Settings, share: cluster.Share, made: Plan) -> None:
    done = set()
    for ordinal, order in sorted(share.orders.items()):
        for name, claim in sorted(order.claims.items()):
            if name in done:
                continue
            done.add(name)
            if name.endswith(f"-{_name(share, ordinal)}"):
                marks = names.marks(own, share) | {labels.ORDINAL: str(ordinal)}
            else:
                marks = {names.FLEET: own.fleet, f"{names.USED_BY}{share.unit}": ""}
            body = _object(own, share, names.CLAIMS, name, labels=marks)
            made.kept.append(body | {"spec": _claim_spec(own, claim)})


def _claim_spec(own: settings.Settings, claim: JsonObject) -> JsonObject:
    given = claim.get("spec") or {}
    spec = {key: given[key] for key in ("accessModes", "resources", "volumeMode") if given.get(key)}
    if own.storage_class:
        spec["storageClassName"] = own.storage_class
    return spec


def _put_services(
    own: settings.Settings, share: cluster.Share, made: Plan, every: Mapping[int, _Each], run: _Run
) -> None:
    ports = _ports([each.own.spec for each in every.values()])
    made.objects.append((names.SERVICES, _service(own, share, share.unit, ports, {})))
    for ordinal in sorted(set(every) - set(run.members)):
        if not template.runs_once(every[ordinal].own.spec):
            extra = {labels.ORDINAL: str(ordinal)}
            made.objects.append((names.SERVICES, _service(own, share, _name(share, ordinal), ports, extra)))


def _service(
    own: settings.Settings, share: cluster.Share, name: str, ports: list[JsonObject], extra: dict[str, str]
) -> JsonObject:
    spec: JsonObject = {
        "clusterIP": "None",
        # Instances find each other also before they are ready, as members of a cluster must.
        "publishNotReadyAddresses": True,
        "selector": _selector(own, share) | extra,
    }
    if ports:
        spec["ports"] = ports
    return _object(own, share, names.SERVICES, name) | {"spec": spec}


def _ports(specs: list[JsonObject]) -> list[JsonObject]:
    found: dict[tuple[int, str], JsonObject] = {}
    for spec in specs:
        for container in spec.get("containers") or []:
            for port in container.get("ports") or []:
                number, protocol = port["containerPort"], port.get("protocol", "TCP")
                name = port.get("name") or f"{protocol.lower()}-{number}"
                found.setdefault((number, protocol), {"name": name, "port": number, "protocol": protocol})
    return [found[key] for key in sorted(found)]


def _budget(own: settings.Settings, share: cluster.Share, kind: names.Kind) -> JsonObject:
    spec = {"minAvailable": share.min_available, "selector": {"matchLabels": _selector(own, share)}}
    return _object(own, share, kind, share.unit) | {"spec": spec}
