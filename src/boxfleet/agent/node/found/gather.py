"""All facts at once."""

import pathlib

from boxfleet.agent.node.found import accelerators, cloud, disks, links, memory, processor, speed, system
from boxfleet.planning import host_labels

BANDWIDTH = "boxfleet.dev/bandwidth"
IOPS = "boxfleet.dev/iops"
# What a host may cease to offer; others are not ours to take away.
RESOURCES = frozenset({BANDWIDTH, IOPS}) | accelerators.RESOURCES


def labels(root: pathlib.Path, *, device: str = "", measured: speed.Speed | None = None) -> dict[str, str]:
    """Every label of the host, with its prefix and a value that is allowed."""
    found = {
        **processor.labels(root),
        **memory.labels(root),
        **disks.labels(root, device=device),
        **links.labels(root),
        **accelerators.labels(root),
        **system.labels(root),
        **cloud.labels(root),
    }
    if measured is not None:
        found |= {"disk.write-mib": str(measured.write_mib), "disk.sync-iops": str(measured.sync_iops)}
    return host_labels.of_facts(found)


def resources(root: pathlib.Path, *, measured: speed.Speed | None = None) -> dict[str, str]:
    """What of the host can be asked for besides processors, memory and disk."""
    found = accelerators.resources(root)
    if fastest := links.mbit(root):
        found[BANDWIDTH] = str(fastest)
    if measured is not None:
        found[IOPS] = str(measured.sync_iops)
    return found
