"""How containers ended that were stopped, and are taken away, while no agent runs: the next one shows it."""

import pathlib
from collections.abc import Mapping, Sequence

from boxfleet.agent import wanted
from boxfleet.agent.volumes import folders
from boxfleet.planning import pod_status
from boxfleet.ports import runtime


def remember(state: pathlib.Path, ended: Mapping[str, Sequence[runtime.ContainerStatus]]) -> None:
    """Write into the records of an agent's state folder what became of containers, by their Pods' uids."""
    records = wanted.Wanted(state / "pods")
    for record in records.load():
        uid = record.pod.metadata.uid
        if not ended.get(uid) or record.pod.status.has_ended:
            continue
        folder = folders.PodFolder(state / "pods" / uid)
        words = {one.id: folder.read_message(one.name, attempt=one.attempt) for one in ended[uid]}
        extras = pod_status.Extras(host_ip="", messages=words)
        record.pod.status = pod_status.stopped(record.pod, ended[uid], extras)
        records.save(record)
