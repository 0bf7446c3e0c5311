"""Step 4: owners that may have dependents of a kind that cannot be listed as a whole.

Most often a conversion webhook is broken. It is needed only where objects are that were stored in another version, so
each Namespace is asked for by itself: an owner goes on when its own Namespace can be listed, and waits when it cannot.
"""

from boxfleet.api import meta
from boxfleet.client import client, errors, loop
from boxfleet.client import events as recorders
from boxfleet.controllers.garbage import finish, graph
from boxfleet.planning import garbage

# Seconds until owners are looked at again: where a list failed, where dependents are asked to go first; and those in
# which owners that come are gathered.
_AGAIN = 30.0
_SOON = 1.0
_GATHER = 0.1


class Unlisted:
    """Looks for dependents where the graph cannot know them, in a loop of its own: a webhook may take its time."""

    def __init__(self, api: client.Client, known: graph.Graph, *, events: recorders.Recorder | None) -> None:
        self._api = api
        self._graph = known
        self._events = events
        # By the owner's Namespace.
        self._owners: dict[str, dict[graph.Item, None]] = {}
        self._loop: loop.Loop[str] = loop.Loop("garbage of unlisted kinds", self.reconcile)
        self.run = self._loop.run

    def add(self, owner: graph.Item) -> None:
        """Take in an owner that waits."""
        self._owners.setdefault(owner.key.namespace, {})[owner] = None
        self._loop.add_after(owner.key.namespace, _GATHER)

    async def reconcile(self, namespace: str) -> float | None:
        """Look at the waiting owners of one Namespace ("" for those of none)."""
        lists: dict[graph.Index, list[meta.Object] | errors.ApiError] = {}
        kept: dict[graph.Item, None] = {}
        soon = False
        for owner in self._owners.pop(namespace, {}):
            subject = self._graph.find(owner)
            if subject is None or not garbage.waits(subject.metadata):
                continue
            kinds = self._graph.unlistable(owner)
            for kind in kinds:
                if graph.index_of(kind) not in lists:
                    lists[graph.index_of(kind)] = await self._list(kind, namespace)
            kept[owner] = None
            soon |= await self._look(subject, kinds, lists)
        for owner in kept:
            self._owners.setdefault(namespace, {})[owner] = None
        return (_SOON if soon else _AGAIN) if kept else None

    async def _list(self, kind: type[meta.Object], namespace: str) -> list[meta.Object] | errors.ApiError:
        try:
            return (await self._api.list(kind, namespace=namespace if kind.KIND.namespaced else "")).items
        except errors.ApiError as error:
            return error

    async def _look(
        self,
        subject: meta.Object,
        kinds: list[type[meta.Object]],
        lists: dict[graph.Index, list[meta.Object] | errors.ApiError],
    ) -> bool:
        """Do what can be done about one owner; says whether more is to be expected soon."""
        unseen: list[meta.Object] = []
        for kind in kinds:
            found = lists[graph.index_of(kind)]
            if isinstance(found, errors.ApiError):
                self._say(subject, kind, found)
                return False
            unseen += [each for each in found if garbage.is_owned_by(each.metadata, subject.metadata.uid)]
        try:
            await finish.finish(self._api, self._graph, subject, unseen=unseen)
        except errors.Conflict:
            # It changed meanwhile.
            return True
        except errors.ApiError as error:
            self._say(subject, type(unseen[0]) if unseen else kinds[0], error)
            return False
        return bool(unseen)

    def _say(self, subject: meta.Object, kind: type[meta.Object], error: errors.ApiError) -> None:
        if self._events is None:
            return
        name = kind.KIND.qualified
        self._events.warning(
            subject,
            "CannotFindDependents",
            f"waits with its deletion, since {name} that it may own cannot be looked for or changed: {error.message}; "
            f"mend that (spec.conversion of CustomResourceDefinition {name}), or give up waiting for dependents "
            "by deleting this again with --cascade=background",
        )
