"""What can be set about the scheduler; every value with its unit, default and reason."""

import dataclasses

from boxfleet.api import wellknown


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of both levels."""

    # The Cluster that a node belongs to when its labels name none.
    cluster: str = wellknown.CLUSTER
    # What Pods name that are to get their node here. The first two leave the choice to whoever is there, which on
    # Boxfleet's own server is this scheduler.
    names: tuple[str, ...] = ("", "default-scheduler")
    # Seconds after which an instance that fits nowhere is looked at again although nothing was heard of that could
    # help it: the safety net under the signals.
    retry: float = 60.0
    # Seconds after which an instance that did not fit is looked at again once something was heard of that could help,
    # and the most that this grows to, doubling with each look. The most is kube-scheduler's; the beginning is shorter
    # than its second, since a few looks too many cost a small fleet nothing.
    backoff_first: float = 0.1
    backoff_most: float = 10.0
    # Bindings under way at once: enough that deciding goes on while the store commits.
    concurrency: int = 64
