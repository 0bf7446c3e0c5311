"""A Unit's status: counts and conditions that say what is, and what is waited for."""

from collections.abc import Collection, Sequence

import msgspec

from boxfleet.api import unit, wellknown
from boxfleet.planning import conditions, dependencies, domains, facts, instances, manifest

# Names of instances in a message; the rest is a number.
_NAMED = 3


def compute(
    subject: unit.Unit,
    *,
    existing: Collection[instances.Instance],
    updated: int,
    revision: str,
    restart_policy: str,
    blocked: dependencies.Blocked | None,
    render_error: facts.RenderError | None,
    now: str,
    suffix: str = wellknown.DOMAIN,
) -> unit.UnitStatus:
    """The status that fits what is there; condition times move only with their status."""
    replicas = subject.spec.replicas
    wanted = sorted((each for each in existing if each.ordinal < replicas), key=lambda each: each.ordinal)
    ready = [each for each in wanted if each.ready]
    done = [each for each in wanted if each.succeeded]
    started = [each for each in wanted if each.started]
    runs_to_end = restart_policy != "Always"
    settled = len(done) + len(ready) if runs_to_end else len(ready)
    said = conditions.Conditions(subject.status.conditions, now=now)
    complete = settled == replicas and updated == replicas and blocked is None and render_error is None
    why = blocked or dependencies.Blocked(
        "InstancesNotReady", _progress(wanted, replicas=replicas, settled=settled, word="ready")
    )
    if render_error is not None:
        why = dependencies.Blocked("FilesNotRendered", str(render_error))
    count = f"{settled} of {replicas} instances ready"
    if settled == replicas:
        # Ready is about serving: a blocked replacement or a running update does not take it away.
        said.put("Ready", "True", "Completed" if runs_to_end and len(done) == replicas else "AllReady", count)
    else:
        said.put("Ready", "False", why.reason, why.message)
    said.put(
        "Started",
        "True" if len(started) == replicas else "False",
        "AllStarted" if len(started) == replicas else why.reason,
        f"{len(started)} of {replicas} instances started"
        if blocked is None and render_error is None
        else f"{len(started)} of {replicas} instances started ({why.message})",
    )
    if runs_to_end:
        all_done = len(done) == replicas
        said.put(
            "Completed",
            "True" if all_done else "False",
            "AllCompleted" if all_done else why.reason,
            _progress(wanted, replicas=replicas, settled=len(done), word="completed"),
        )
    else:
        said.drop("Completed")
    if complete:
        said.put(
            "Progressing", "False", "RolloutComplete", f"{replicas} of {replicas} instances are of the newest revision"
        )
    elif settled == replicas and blocked is None and render_error is None:
        said.put(
            "Progressing", "True", "RollingUpdate", f"{updated} of {replicas} instances are of the newest revision"
        )
    else:
        said.put("Progressing", "True", why.reason, why.message)
    if render_error is not None:
        said.put("FilesRendered", "False", "TemplateError", str(render_error))
    elif subject.spec.env or subject.spec.files:
        said.put("FilesRendered", "True", "Rendered", "every template has all it refers to")
    else:
        said.drop("FilesRendered")
    return unit.UnitStatus(
        observedGeneration=subject.metadata.generation,
        replicas=len(existing),
        readyReplicas=len(ready),
        updatedReplicas=updated,
        selector=manifest.selector(subject),
        domain=domains.of_unit(subject, suffix=suffix),
        revision=revision,
        conditions=said.items,
    )


def is_passing(before: unit.UnitStatus, after: unit.UnitStatus) -> bool:
    """Whether only counts and words change on the way to somewhere: nothing turns that others act on."""
    return _without_counts(before) == _without_counts(after)


def _without_counts(status: unit.UnitStatus) -> unit.UnitStatus:
    return msgspec.structs.replace(
        status,
        replicas=0,
        readyReplicas=0,
        updatedReplicas=0,
        conditions=[msgspec.structs.replace(each, message="") for each in status.conditions],
    )


def _progress(wanted: Sequence[instances.Instance], *, replicas: int, settled: int, word: str) -> str:
    """``0 of 2 instances ready (db-0: ImagePullBackOff, db-1: not there yet)``."""
    present = {each.ordinal for each in wanted}
    trouble = [f"{each.name}: {each.problem}" for each in wanted if each.problem and not (each.ready or each.succeeded)]
    missing = replicas - len(present)
    if missing:
        trouble.append(f"{missing} not made yet")
    shown = trouble[:_NAMED]
    if len(trouble) > _NAMED:
        shown.append(f"{len(trouble) - _NAMED} more")
    return f"{settled} of {replicas} instances {word}" + (f" ({', '.join(shown)})" if shown else "")
