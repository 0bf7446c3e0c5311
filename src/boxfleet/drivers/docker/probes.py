"""The probes of all instances: a task per probe of each running container, while Boxfleet is there."""

import asyncio
from collections.abc import Callable

import msgspec

from boxfleet.api import pod as pods
from boxfleet.drivers.docker import asking, connection
from boxfleet.kit import clock as clocks
from boxfleet.planning import probing
from boxfleet.ports import cluster


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """A run of a container: each start is another one."""

    id: str
    started_at: str
    ip: str
    container: pods.Container


class _Run:
    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.tasks: list[asyncio.Task[None]] = []
        self.tallies: dict[probing.Kind, probing.Tally] = {}
        self.started = asyncio.Event()
        self.paused = False


class Probes:
    """`changed` is called with the id of a container of which a result changed."""

    def __init__(self, link: connection.Connection, *, clock: clocks.Clock, changed: Callable[[str], None]) -> None:
        self._link = link
        self._clock = clock
        self._changed = changed
        self._runs: dict[str, _Run] = {}

    def follow(self, subject: Subject, *, group: asyncio.TaskGroup, known_well: bool) -> None:
        """Look at this run of a container. `known_well`: it was ready before, until a probe says else."""
        run = self._runs.get(subject.id)
        if run is not None and (run.subject.started_at, run.subject.ip) == (subject.started_at, subject.ip):
            if not run.paused:
                return
            # What was known of it still is, until somebody looks again.
            run.paused, known_well = False, run.started.is_set()
        else:
            self.forget(subject.id)
            run = self._runs[subject.id] = _Run(subject)
        container = subject.container
        if container.startupProbe is None or known_well:
            run.started.set()
        probes: list[tuple[probing.Kind, pods.Probe | None]] = [
            ("startup", container.startupProbe),
            ("readiness", container.readinessProbe),
            ("liveness", container.livenessProbe),
        ]
        for kind, probe in probes:
            if probe is None:
                continue
            run.tallies.setdefault(kind, probing.Tally(passed=True if known_well else None))
            if kind != "startup" or not known_well:
                run.tasks.append(group.create_task(self._look(run, kind, probe)))

    def forget(self, container_id: str) -> None:
        """Look no more."""
        run = self._runs.pop(container_id, None)
        for task in run.tasks if run is not None else ():
            task.cancel()

    def pause(self) -> None:
        """Look no more until told again; what was seen last counts meanwhile."""
        for run in self._runs.values():
            run.paused = True
            for task in run.tasks:
                task.cancel()
            run.tasks.clear()

    def check(self, container_id: str) -> probing.Check | None:
        """What the probes of a container say together; None when nobody looks."""
        run = self._runs.get(container_id)
        if run is None:
            return None
        container = run.subject.container

        def passed(kind: probing.Kind) -> bool | None:
            tally = run.tallies.get(kind)
            return None if tally is None else tally.passed

        started = container.startupProbe is None or passed("startup") is True
        ready = started and (container.readinessProbe is None or passed("readiness") is True)
        watched: list[tuple[probing.Kind, pods.Probe | None]] = [
            ("startup", container.startupProbe),
            ("liveness", container.livenessProbe),
        ]
        for kind, probe in watched:
            if probe is not None and passed(kind) is False:
                words = f"Container {container.name} failed {kind} probe, will be restarted"
                grace = probe.terminationGracePeriodSeconds
                return probing.Check(started=started, ready=ready, failed=words, grace=grace)
        return probing.Check(started=started, ready=ready)

    async def _look(self, run: _Run, kind: probing.Kind, probe: pods.Probe) -> None:
        if kind != "startup":
            await run.started.wait()
        if probe.initialDelaySeconds and run.tallies[kind].passed is None:
            await self._clock.sleep(probe.initialDelaySeconds)
        began = counted_at = self._clock.monotonic()
        while True:
            now = self._clock.monotonic()
            before = run.tallies[kind]
            eager = probing.is_eager(kind=kind, tally=before)
            counted = not eager or now - counted_at >= max(1, probe.periodSeconds) - 0.05
            seconds = float(max(1, probe.timeoutSeconds))
            try:
                answer = await asking.ask(
                    self._link,
                    run.subject.id,
                    run.subject.container,
                    probe,
                    ip=run.subject.ip,
                    seconds=seconds,
                    patience=probing.EAGER_PATIENCE if eager and not counted else None,
                )
            except cluster.Unreachable:
                # Nothing is known while the engine is away.
                await self._clock.sleep(float(max(1, probe.periodSeconds)))
                continue
            if counted or answer.success:
                counted_at = now
            after = probing.judge(before, probe, success=answer.success, counted=counted)
            run.tallies[kind] = after
            if before.passed is not after.passed:
                self._changed(run.subject.id)
            if kind == "startup" and after.passed:
                run.started.set()
                return
            over = self._clock.monotonic()
            await self._clock.sleep(probing.pause(probe, kind=kind, tally=after, age=over - began, took=over - now))
