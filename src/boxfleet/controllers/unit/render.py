"""Step 2: environment and files of each instance."""

import asyncio
import dataclasses
from collections.abc import Callable, Mapping

from boxfleet.api import meta, unit
from boxfleet.controllers.unit import observe
from boxfleet.planning import facts

# So many instances whose templates are wrong show that all are: the rest is not tried. A template that wants too much
# costs a tenth of a second each time.
_WRONG_LIMIT = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Renderings:
    """Results by ordinal; what is waited for by ordinal; the first template that is wrong."""

    done: Mapping[int, facts.Rendered]
    pending: Mapping[int, str]
    error: facts.RenderError | None = None


class Renderer:
    """Renders the instances of Units; keeps a Unit's results while nothing they depend on changes."""

    def __init__(self, *, addresses: Callable[[unit.Unit], Mapping[str, str]], suffix: str) -> None:
        self._addresses = addresses
        self._suffix = suffix
        self._kept: dict[meta.Key, tuple[object, Renderings]] = {}

    def forget(self, key: meta.Key) -> None:
        """Let go of a Unit that is gone."""
        self._kept.pop(key, None)

    async def render(self, situation: observe.Situation) -> Renderings:
        """Render every wanted instance of a Unit; others have their turn in between."""
        subject = situation.unit
        replicas = range(subject.spec.replicas)
        if not subject.spec.env and not subject.spec.files:
            nothing = facts.Rendered({}, {})
            return Renderings(dict.fromkeys(replicas, nothing), {})
        peers = [
            facts.peer_of(each, addresses=self._addresses(each), suffix=self._suffix)
            for _, each in sorted(situation.siblings.items())
        ]
        basis = (subject.metadata.uid, subject.metadata.generation, peers, situation.declared)
        kept = self._kept.get(subject.key)
        if kept is not None and kept[0] == basis:
            return kept[1]
        result = await self._fresh(situation, peers)
        self._kept[subject.key] = (basis, result)
        return result

    async def _fresh(self, situation: observe.Situation, peers: list[facts.Peer]) -> Renderings:
        subject = situation.unit
        own = next(peer for peer in peers if peer.object_name == subject.metadata.name)
        namespace = subject.metadata.namespace
        shared = facts.build(
            own=own, namespace=namespace, box=subject.spec.box, peers=peers, declared=situation.declared
        )
        done: dict[int, facts.Rendered] = {}
        pending: dict[int, str] = {}
        error: facts.RenderError | None = None
        wrong_ones = 0
        for ordinal in range(subject.spec.replicas):
            await asyncio.sleep(0)
            each = facts.for_instance(shared, own=own, namespace=namespace, ordinal=ordinal)
            try:
                done[ordinal] = facts.render(subject.spec, each)
            except facts.FactPending as wait:
                pending[ordinal] = str(wait)
            except facts.RenderError as wrong:
                error = error or wrong
                wrong_ones += 1
                if wrong_ones == _WRONG_LIMIT:
                    break
        return Renderings(done, pending, error)
