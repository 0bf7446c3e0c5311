"""When a probe runs and what its results amount to."""

from typing import Literal

import msgspec

from boxfleet.api import pod as pods

Kind = Literal["startup", "readiness", "liveness"]

# A program that is still starting is looked at more often than its period says, so that its readiness is seen at once:
# the pause grows with the age, which bounds the delay to a share of the program's own start time.
EAGER_FIRST = 0.05
EAGER_SHARE = 0.15
# Seconds for a connection between the periods: on the host's own bridge an answer takes microseconds, and a packet that
# got lost while the network came up would only be sent again after a second.
EAGER_PATIENCE = 0.1


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What the probes of one running container say together."""

    started: bool = False
    ready: bool = False
    # Why it must be killed; empty while it may live.
    failed: str = ""
    # Seconds of grace that the failed probe asks for; None: the Pod's own.
    grace: int | None = None


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Results in a row. `passed` is None until a threshold was reached for the first time."""

    passed: bool | None = None
    successes: int = 0
    failures: int = 0


def judge(tally: Tally, probe: pods.Probe, *, success: bool, counted: bool = True) -> Tally:
    """Take in one result; an uncounted failure (an eager look between two periods) changes nothing."""
    if success:
        successes = tally.successes + 1
        passed = True if successes >= max(1, probe.successThreshold) else tally.passed
        return Tally(passed=passed, successes=successes)
    if not counted:
        return Tally(passed=tally.passed, failures=tally.failures)
    failures = tally.failures + 1
    passed = False if failures >= max(1, probe.failureThreshold) else tally.passed
    return Tally(passed=passed, failures=failures)


def is_eager(*, kind: Kind, tally: Tally) -> bool:
    """Whether the program may be starting still, so that it is looked at between the periods too."""
    return kind != "liveness" and tally.passed is None and not tally.successes


def pause(probe: pods.Probe, *, kind: Kind, tally: Tally, age: float, took: float) -> float:
    """Seconds until the next look; `age` is the time since the first one, `took` what the last one needed.

    Looking never takes more time than not looking, so that programs that start on a busy machine get to do so.
    """
    period = float(max(1, probe.periodSeconds))
    if not is_eager(kind=kind, tally=tally):
        return period
    return min(period, max(EAGER_FIRST, age * EAGER_SHARE, took))


def port(container: pods.Container, wanted: int | str) -> int:
    """The number of a port that may be given by name; raises ValueError when there is no such port."""
    if isinstance(wanted, int):
        return wanted
    for known in container.ports:
        if known.name == wanted:
            return known.containerPort
    if wanted.isdecimal():
        return int(wanted)
    raise ValueError(f"container {container.name} has no port named {wanted!r}: declare it under ports")
