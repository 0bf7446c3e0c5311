"""When a Unit's status is written."""

import datetime

from boxfleet.api import meta, unit
from boxfleet.controllers.unit import report


class Clock:
    seconds = 100.0

    def now(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self.seconds, datetime.UTC)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def status(*, ready: int, of: int = 3) -> unit.UnitStatus:
    said = meta.Condition(type="Ready", status="True" if ready == of else "False", message=f"{ready} of {of}")
    return unit.UnitStatus(replicas=of, readyReplicas=ready, conditions=[said])


def made() -> unit.Unit:
    spec = unit.UnitSpec(replicas=3, template={"spec": {"containers": []}})
    return unit.Unit(metadata=meta.ObjectMeta(name="u", namespace="ns"), spec=spec, status=status(ready=0))


def test_counts_are_written_together_and_turns_at_once() -> None:
    clock = Clock()
    reports = report.Reports(clock=clock)
    subject = made()
    assert reports.wait(subject, status(ready=1)) == 0
    reports.said(subject.key)
    subject.status = status(ready=1)
    wait = reports.wait(subject, status(ready=2))
    assert wait > 0
    # What is written already, and what others act on, waits for nothing.
    assert reports.wait(subject, status(ready=1)) == 0
    assert reports.wait(subject, status(ready=3)) == 0
    clock.seconds += wait
    assert reports.wait(subject, status(ready=2)) == 0


def test_a_unit_of_the_same_name_begins_anew() -> None:
    reports = report.Reports(clock=Clock())
    subject = made()
    reports.said(subject.key)
    reports.forget(subject.key)
    assert reports.wait(subject, status(ready=1)) == 0
