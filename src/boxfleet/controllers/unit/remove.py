"""Step 5: instances that must go."""

import dataclasses

from boxfleet.api import meta, pod
from boxfleet.client import client, errors
from boxfleet.kit import backoff, clock
from boxfleet.planning import instances

# An instance that lived this long (seconds) before it failed did well: its replacement comes at once again.
_WELL = 600.0


async def remove(api: client.Client, instance: instances.Instance, *, namespace: str) -> None:
    """Delete the Pod of one instance, and no successor of it."""
    try:
        await api.delete(pod.Pod, instance.name, namespace=namespace, uid=instance.uid)
    except (errors.NotFound, errors.Conflict):
        # Gone or replaced already: the cache was behind.
        return


@dataclasses.dataclass(slots=True)
class _Record:
    uid: str
    failures: int
    since: float


class Replacements:
    """How long to wait before an instance that failed for good is replaced: longer each time."""

    def __init__(self, *, clock: clock.Clock) -> None:
        self._clock = clock
        # The first replacement is at once.
        self._backoff = backoff.Backoff(initial=1.0, limit=300.0)
        self._records: dict[tuple[meta.Key, int], _Record] = {}

    def wait(self, key: meta.Key, instance: instances.Instance) -> float:
        """Seconds until this failed instance may be replaced; 0 for now."""
        now = self._clock.monotonic()
        record = self._records.get((key, instance.ordinal))
        if record is None or now - record.since > _WELL:
            record = self._records[key, instance.ordinal] = _Record(instance.uid, 0, now)
        elif record.uid != instance.uid:
            record.uid, record.failures, record.since = instance.uid, record.failures + 1, now
        return max(0.0, record.since + self._backoff.delay(failures=record.failures) - now)

    def forget(self, key: meta.Key) -> None:
        """Let go of a Unit that is gone."""
        for each in [each for each in self._records if each[0] == key]:
            del self._records[each]
