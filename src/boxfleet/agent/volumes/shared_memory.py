"""Memory that Pods of one Namespace share on this host.

Each Pod that uses it has a mount of it in its own folder, and there is none besides: so the kernel keeps it as long as
anybody uses it and frees it with the last one, whatever is killed in between. Which mount is of which memory stands in
its source, where an agent that was started again finds it.
"""

import pathlib

from boxfleet.agent.volumes import mounting
from boxfleet.api import coupling, pod_sources
from boxfleet.kit import quantity
from boxfleet.planning import pod_volumes

# As /dev/shm: everybody may write, and remove what is his own.
_MODE = 0o1777


def prepare(path: pathlib.Path, source: pod_sources.CsiVolumeSource, *, namespace: str, root: pathlib.Path) -> None:
    """Mount a Pod's part; `root` holds the folders of all Pods. Raises `pod_volumes.Missing` and OSError."""
    said = source.volumeAttributes
    name = said.get(coupling.NAME, "")
    if source.driver != coupling.DRIVER:
        raise pod_volumes.Missing(f"this host has no CSI driver {source.driver}: it has {coupling.DRIVER} only")
    provides = said.get(coupling.ROLE) == coupling.PROVIDES
    size = quantity.whole(said.get(coupling.SIZE, coupling.USUAL_SIZE))
    path.mkdir(parents=True, exist_ok=True)
    mark = f"boxfleet-{name}@{namespace}"
    if not path.is_mount():
        others = mounting.of_source(mark, root)
        if others:
            mounting.bind(others[0], str(path))
        elif provides:
            mounting.memory(str(path), size=size, mode=_MODE, source=mark)
        else:
            raise pod_volumes.Missing(f"waits for an instance that provides {name} on this host")
    if provides:
        mounting.resize(str(path), size=size)
