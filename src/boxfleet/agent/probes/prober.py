"""The probes of one Pod: a task per probe of each running container."""

import asyncio
from collections.abc import Callable

from boxfleet.agent.probes import ask
from boxfleet.api import pod as pods
from boxfleet.kit import clock as clocks
from boxfleet.planning import probing
from boxfleet.ports import runtime

# Told of every failed look: container, kind, what it said.
Failed = Callable[[str, probing.Kind, str], None]


class Prober:
    """Looks at the containers that it is given, until it is given others. `changed` is called when a result changes."""

    def __init__(
        self,
        engine: runtime.Runtime,
        *,
        clock: clocks.Clock,
        group: asyncio.TaskGroup,
        changed: Callable[[], None],
        failed: Failed,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._group = group
        self._changed = changed
        self._failed = failed
        self._tasks: dict[str, list[asyncio.Task[None]]] = {}
        self._tallies: dict[tuple[str, probing.Kind], probing.Tally] = {}
        self._started: dict[str, asyncio.Event] = {}

    def follow(self, subjects: dict[str, ask.Subject], *, well: frozenset[str]) -> None:
        """Look at exactly these containers from now on.

        `well`: those of which an earlier life of the agent reported that they are ready; so they are, until a probe
        says else.
        """
        for gone in [one for one in self._tasks if one not in subjects]:
            for task in self._tasks.pop(gone):
                task.cancel()
            self._started.pop(gone, None)
            for key in [key for key in self._tallies if key[0] == gone]:
                del self._tallies[key]
        for container_id, subject in subjects.items():
            if container_id not in self._tasks:
                self._begin(container_id, subject, known_well=container_id in well)

    def stop(self) -> None:
        """Look at nothing any more."""
        self.follow({}, well=frozenset())

    def check(self, container_id: str, container: pods.Container) -> probing.Check:
        """What the probes of a running container say together."""
        if container_id not in self._tasks:
            return probing.Check()
        started = self._passed(container_id, "startup") if container.startupProbe is not None else True
        ready = started is True and (
            container.readinessProbe is None or self._passed(container_id, "readiness") is True
        )
        failed, grace = "", None
        watched: list[tuple[probing.Kind, pods.Probe | None]] = [
            ("startup", container.startupProbe),
            ("liveness", container.livenessProbe),
        ]
        for kind, probe in watched:
            if probe is not None and self._passed(container_id, kind) is False:
                failed = f"Container {container.name} failed {kind} probe, will be restarted"
                grace = probe.terminationGracePeriodSeconds
                break
        return probing.Check(started=started is True, ready=ready, failed=failed, grace=grace)

    def _passed(self, container_id: str, kind: probing.Kind) -> bool | None:
        tally = self._tallies.get((container_id, kind))
        return None if tally is None else tally.passed

    def _begin(self, container_id: str, subject: ask.Subject, *, known_well: bool) -> None:
        container = subject.container
        started = asyncio.Event()
        self._started[container_id] = started
        self._tasks[container_id] = tasks = []
        if container.startupProbe is None or known_well:
            started.set()
        probes: list[tuple[probing.Kind, pods.Probe | None]] = [
            ("startup", container.startupProbe),
            ("readiness", container.readinessProbe),
            ("liveness", container.livenessProbe),
        ]
        for kind, probe in probes:
            if probe is None:
                continue
            self._tallies[container_id, kind] = probing.Tally(passed=True if known_well else None)
            if kind == "startup" and known_well:
                continue
            tasks.append(self._group.create_task(self._look(subject, kind, probe, started)))

    async def _look(self, subject: ask.Subject, kind: probing.Kind, probe: pods.Probe, started: asyncio.Event) -> None:
        key = (subject.id, kind)
        if kind != "startup":
            await started.wait()
        if probe.initialDelaySeconds and self._tallies[key].passed is None:
            await self._clock.sleep(probe.initialDelaySeconds)
        began = counted_at = self._clock.monotonic()
        while True:
            now = self._clock.monotonic()
            eager = probing.is_eager(kind=kind, tally=self._tallies[key])
            counted = not eager or now - counted_at >= max(1, probe.periodSeconds) - 0.05
            try:
                answer = await ask.ask(
                    self._engine,
                    subject,
                    probe,
                    timeout=float(max(1, probe.timeoutSeconds)),
                    patience=probing.EAGER_PATIENCE if eager and not counted else None,
                )
            except runtime.Unavailable:
                # Nothing is known while the runtime is away.
                await self._clock.sleep(float(max(1, probe.periodSeconds)))
                continue
            if counted or answer.success:
                counted_at = now
            self._take(key, probe, answer, counted=counted)
            if counted and not answer.success:
                self._failed(subject.container.name, kind, answer.message)
            if kind == "startup" and self._tallies[key].passed:
                started.set()
                return
            over = self._clock.monotonic()
            await self._clock.sleep(
                probing.pause(probe, kind=kind, tally=self._tallies[key], age=over - began, took=over - now)
            )

    def _take(self, key: tuple[str, probing.Kind], probe: pods.Probe, answer: ask.Answer, *, counted: bool) -> None:
        before = self._tallies[key]
        after = probing.judge(before, probe, success=answer.success, counted=counted)
        self._tallies[key] = after
        if before.passed is not after.passed:
            self._changed()
