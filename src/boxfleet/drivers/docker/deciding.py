"""The next step that brings an instance from what is on the engine to what is wanted."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from boxfleet.api import pod as pods
from boxfleet.drivers.docker import given, marks, model, pieces
from boxfleet.planning import restart


class Leave(msgspec.Struct, frozen=True, kw_only=True):
    """Stop these containers and remove them; `whole`: their instance ends, and its volumes with it."""

    containers: Sequence[model.Container]
    whole: bool


class Make(msgspec.Struct, frozen=True, kw_only=True):
    """Create a container."""

    name: str
    role: str


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """Start a container that is there."""

    container: model.Container


class Halt(msgspec.Struct, frozen=True, kw_only=True):
    """Stop containers that have served their purpose; they stay to be looked at."""

    containers: Sequence[model.Container]


class Rest(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing to do until something happens."""


Step = Leave | Make | Start | Halt | Rest
REST: Final = Rest()
_UP: Final = frozenset({"running", "restarting", "paused"})


def step(
    wanted: given.Given | None,
    engine: given.Engine,
    made: Sequence[model.Container],
    *,
    renew: str,
    is_started: Callable[[model.Container], bool],
) -> Step:
    """What to do next for one instance, of which `made` is all that the engine has.

    `renew` is the incarnation that shall end; `is_started` says whether a running sidecar's startup probe passed.
    """
    uid = wanted.pod.metadata.uid if wanted is not None else ""
    old = [one for one in made if one.mark.uid != uid or (renew and one.mark.incarnation == renew)]
    if old:
        return Leave(containers=old, whole=True)
    if wanted is None:
        return REST
    order = pieces.order(wanted, engine)
    by_name = {one.mark.container: one for one in made}
    stray = [one for one in made if one.mark.container not in {name for name, _ in order}]
    stale = [one for one in made if _is_stale(one, wanted, by_name.get(marks.NETWORK_NAME))]
    if stray or stale:
        return Leave(containers=stray or stale, whole=False)
    mains = [name for name, role in order if role == "main"]
    if all(name in by_name and has_ended(by_name[name], wanted.pod.spec) for name in mains):
        rest = [one for one in made if one.mark.role in ("sidecar", "network") and one.state.status in _UP]
        return Halt(containers=rest) if rest else REST
    initialized = any(name in by_name for name in mains)
    for name, role in order:
        if role == "init" and initialized:
            continue
        one = by_name.get(name)
        if one is None:
            return Make(name=name, role=role)
        if one.state.status in _UP:
            if role == "init" or (role == "sidecar" and not initialized and not is_started(one)):
                return REST
            continue
        if role == "init" and one.was_started and one.state.exit_code == 0:
            continue
        if role in ("init", "main") and has_ended(one, wanted.pod.spec):
            if role == "init":
                return REST
            continue
        return Start(container=one)
    return REST


def has_ended(one: model.Container, spec: pods.PodSpec) -> bool:
    """Whether a container's program ended, and the Pod does not want it again."""
    if one.state.status not in ("exited", "dead") or not one.was_started:
        return False
    policy = spec.restartPolicy
    if one.mark.role == "init" and policy == "Always":
        policy = "OnFailure"
    return not restart.wanted(policy=policy, exit_code=one.state.exit_code)


def _is_stale(one: model.Container, wanted: given.Given, holder: model.Container | None) -> bool:
    """Whether a container is of another spec, or in a network that ended under it."""
    container = wanted.pod.spec.find_container(one.mark.container)
    if container is not None and marks.fingerprint(container) != one.mark.hash:
        return True
    if holder is None or one is holder or one.state.status != "running" or holder.state.status != "running":
        return False
    began, since = model.moment(one.state.started_at), model.moment(holder.state.started_at)
    return began is not None and since is not None and began < since
