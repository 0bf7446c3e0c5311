"""Who shares memory with whom, host by host: where a consumer may run, and which may stay there."""

import dataclasses
from collections.abc import Collection, Iterable

from boxfleet.api import meta, pod, unit
from boxfleet.planning import instances, pod_asks
from boxfleet.planning.engine import asks, rules


@dataclasses.dataclass(slots=True)
class _Host:
    """Who has to do with one memory on one host; each with whether it says exclusive."""

    providers: dict[meta.Key, bool] = dataclasses.field(default_factory=dict)
    consumers: dict[meta.Key, bool] = dataclasses.field(default_factory=dict)


class Board:
    """Providers and consumers that have a place; the same board gives the same answer."""

    def __init__(self) -> None:
        # By Namespace and name of the memory, by node.
        self._hosts: dict[tuple[str, str], dict[str, _Host]] = {}
        self._ready: set[meta.Key] = set()

    def put(self, key: meta.Key, *, node: str, shares: Iterable[asks.Share]) -> None:
        """An instance has a place there."""
        for each in shares:
            host = self._hosts.setdefault((key.namespace, each.name), {}).setdefault(node, _Host())
            (host.providers if each.provides else host.consumers)[key] = each.exclusive

    def drop(self, key: meta.Key, *, node: str, shares: Iterable[asks.Share]) -> None:
        """It is gone from there."""
        self._ready.discard(key)
        for each in shares:
            hosts = self._hosts.get((key.namespace, each.name), {})
            if (host := hosts.get(node)) is None:
                continue
            (host.providers if each.provides else host.consumers).pop(key, None)
            if not host.providers and not host.consumers:
                del hosts[node]

    def tell(self, key: meta.Key, *, ready: bool) -> bool:
        """Whether an instance is ready; says whether that is news."""
        if (key in self._ready) == ready:
            return False
        (self._ready.add if ready else self._ready.discard)(key)
        return True

    def among(
        self, shares: Iterable[asks.Share], *, namespace: str, known: Iterable[unit.Unit] = ()
    ) -> asks.Among | None:
        """The places that a consumer may have, and why not others; None for one that consumes nothing.

        `known` are Units, to name those that would provide what is missing.
        """
        found: asks.Among | None = None
        for each in shares:
            if not each.provides:
                mine = self._among(each, namespace, known)
                found = mine if found is None else _both(found, mine)
        return found

    def alone(self, key: meta.Key, *, node: str, shares: Iterable[asks.Share]) -> str:
        """What a consumer that runs has lost on its node; empty when it may go on.

        That the provider is not ready does not end it: the memory is there as long as an instance has its place.
        """
        for each in shares:
            if each.provides:
                continue
            host = self._hosts.get((key.namespace, each.name), {}).get(node, _Host())
            if not host.providers:
                return each.name
            exclusive = any(host.providers.values()) or any(host.consumers.values())
            if exclusive and sorted(host.consumers).index(key) >= len(host.providers):
                return each.name
        return ""

    def _among(self, share: asks.Share, namespace: str, known: Iterable[unit.Unit]) -> asks.Among:
        open_: set[str] = set()
        words: dict[str, str] = {}
        for node, host in self._hosts.get((namespace, share.name), {}).items():
            ready = sorted(each for each in host.providers if each in self._ready)
            exclusive = share.exclusive or any(host.providers.values()) or any(host.consumers.values())
            if host.providers and not ready:
                first = min(host.providers)
                words[node] = f"{rules.no_provider(share.name)} ({first.name}, which provides it there, is not ready)"
            elif ready and exclusive and len(host.consumers) >= len(ready):
                has = ", ".join(each.name for each in sorted(host.consumers))
                words[node] = f"node(s) had {share.name} in exclusive use (by {has})"
            elif ready:
                open_.add(node)
        who = would_provide(share.name, namespace=namespace, known=known)
        return asks.Among(frozenset(open_), words, f"{rules.no_provider(share.name)} ({who})")


def would_provide(name: str, *, namespace: str, known: Iterable[unit.Unit]) -> str:
    """Which Unit provides a memory, in words."""
    found = [
        f"Unit {each.metadata.name}{f' of Box {each.spec.box}' if each.spec.box else ''}"
        for each in known
        if each.metadata.namespace == namespace and any(said.name == name for said in each.spec.provides)
    ]
    if not found:
        return f"no Unit of Namespace {namespace} provides it"
    return f"{' and '.join(sorted(found))} provide{'s' if len(found) == 1 else ''} it"


def provides(subject: pod.Pod) -> bool:
    """Whether a Pod provides memory to others."""
    return any(each.provides for each in pod_asks.shares_of(subject.spec))


def consumes(subject: pod.Pod) -> bool:
    """Whether a Pod runs only beside another that provides memory."""
    return any(not each.provides for each in pod_asks.shares_of(subject.spec))


def lost(existing: Collection[instances.Instance], pods: Iterable[pod.Pod]) -> dict[str, str]:
    """Consumers whose provider has left their host, with what they have lost, by uid."""
    board = Board()
    here: dict[str, pod.Pod] = {}
    for each in pods:
        if not each.spec.nodeName or each.status.has_ended or each.metadata.deletionTimestamp:
            continue
        here[each.metadata.uid] = each
        board.put(each.key, node=each.spec.nodeName, shares=pod_asks.shares_of(each.spec))
    found = {}
    for one in existing:
        mine = here.get(one.uid)
        if mine is not None and (
            what := board.alone(mine.key, node=mine.spec.nodeName, shares=pod_asks.shares_of(mine.spec))
        ):
            found[one.uid] = what
    return found


def _both(one: asks.Among, other: asks.Among) -> asks.Among:
    """Places that may be had by both; of two reasons the first is said."""
    words = dict(one.words)
    for node, text in other.words.items():
        if node in one.open:
            words[node] = text
    for node in one.open - other.open - other.words.keys():
        words[node] = other.otherwise
    return asks.Among(one.open & other.open, words, one.otherwise)
