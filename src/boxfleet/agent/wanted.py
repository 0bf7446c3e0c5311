"""The wanted state on disk: what runs here goes on when the server is gone, also after a restart of the agent."""

import pathlib

import msgspec
import structlog

from boxfleet.api import config, service_account, volume_claim
from boxfleet.api import pod as pods
from boxfleet.kit import durable

log = structlog.get_logger()


class Record(msgspec.Struct, kw_only=True):
    """One bound Pod and all that it refers to."""

    pod: pods.Pod
    # What the ledger was seen to give it: good for as long as the server cannot be asked.
    address: str = ""
    config_maps: dict[str, config.ConfigMap] = {}
    # Whom registries are told of, when the Pod names no secret for them itself.
    account: service_account.ServiceAccount | None = None
    secrets: dict[str, config.Secret] = {}
    claims: dict[str, volume_claim.PersistentVolumeClaim] = {}

    def __repr__(self) -> str:
        """Name the Pod, never what is confidential: reprs end up in logs."""
        return f"Record({self.pod.key})"


class Wanted:
    """The records of this node, one file per Pod."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._written: dict[str, bytes] = {}

    def load(self) -> list[Record]:
        """All records. One that cannot be read is set aside and told: its Pod comes again from the server."""
        records = []
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in sorted(self._folder.glob("*.json")):
            try:
                record = msgspec.json.decode(path.read_bytes(), type=Record)
            except msgspec.DecodeError as error:
                path.rename(path.with_suffix(".broken"))
                log.warning("set aside a record of a pod that cannot be read", path=str(path), cause=str(error))
                continue
            self._written[record.pod.metadata.uid] = _essence(record)
            records.append(record)
        for leftover in self._folder.glob(".*.json.*"):
            leftover.unlink(missing_ok=True)
        return records

    def save(self, record: Record) -> bool:
        """Write a record when it says something new; whether it did."""
        uid = record.pod.metadata.uid
        essence = _essence(record)
        if self._written.get(uid) == essence:
            return False
        durable.write(self._folder / f"{uid}.json", msgspec.json.encode(record), mode=0o600)
        self._written[uid] = essence
        return True

    def remove(self, uid: str) -> None:
        """Forget a Pod."""
        (self._folder / f"{uid}.json").unlink(missing_ok=True)
        durable.sync_folder(self._folder)
        self._written.pop(uid, None)


def _essence(record: Record) -> bytes:
    """What makes a record worth a write: not each change of status, but how a Pod or its containers ended."""
    pod = record.pod
    meta = pod.metadata
    identity = (meta.uid, meta.name, meta.namespace, meta.labels, meta.annotations, meta.deletionTimestamp)
    objects = [
        (kind, name, item.metadata.uid, item.metadata.resourceVersion)
        for kind, table in (("c", record.config_maps), ("s", record.secrets), ("v", record.claims))
        for name, item in sorted(table.items())
    ]
    if record.account is not None:
        known = record.account.metadata
        objects.append(("a", known.name, known.uid, known.resourceVersion))
    ended = pod.status.phase if pod.status.has_ended else ""
    ends = [
        (one.name, one.restartCount, one.lastState) for one in pod.status.every_container if one.lastState.terminated
    ]
    parts = (identity, meta.deletionGracePeriodSeconds, pod.spec, ended, ends, objects, record.address)
    return msgspec.json.encode(parts)
