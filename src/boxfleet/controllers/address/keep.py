"""Step 3: one Address: its status, and its release."""

import msgspec

from boxfleet.api import address, labels, pod, unit
from boxfleet.client import client, errors
from boxfleet.planning import instances


def is_wanted(held: address.Address, *, owner: unit.Unit | None) -> bool:
    """Whether somebody still wants the address: its Unit for its instance, or whoever reserved it."""
    if held.spec.reserved:
        return True
    if owner is None or owner.metadata.deletionTimestamp:
        return False
    ordinal = held.spec.instance.removeprefix(f"{owner.metadata.name}-")
    return ordinal.isdigit() and int(ordinal) < owner.spec.replicas and not owner.spec.pod_template().spec.hostNetwork


def status(held: address.Address, current: pod.Pod | None) -> address.AddressStatus:
    """What is so of the address, from its instance."""
    if current is None or current.metadata.annotations.get(labels.ADDRESS) != held.metadata.name:
        return address.AddressStatus(phase="Reserved" if held.spec.reserved else "Held")
    foreign = current.spec.schedulerName == labels.CLUSTER_SCHEDULER
    elsewhere = current.status.podIP if foreign and current.status.podIP != held.metadata.name else ""
    return address.AddressStatus(
        phase="Bound", ready=instances.is_ready(current), node=current.spec.nodeName, reachedAt=elsewhere
    )


async def adopt(api: client.Client, held: address.Address, wanted: address.AddressSpec) -> None:
    """Give an address that was reserved by hand the Unit and the names that its instance answers to."""
    said = {key: getattr(wanted, key) for key in ("unit", "domain", "unitDomain")}
    changed = {key: value for key, value in said.items() if getattr(held.spec, key) != value}
    # One that was reserved for another Unit of such a name stays what it is.
    if held.spec.reserved and changed and held.spec.unit in ("", wanted.unit):
        try:
            await api.patch(
                address.Address, held.metadata.name, {"metadata": {"uid": held.metadata.uid}, "spec": changed}
            )
        except errors.NotFound:
            return


async def report(api: client.Client, held: address.Address, wanted: address.AddressStatus) -> None:
    """Write the status when it differs from what is there."""
    if wanted != held.status:
        await api.replace(msgspec.structs.replace(held, status=wanted), subresource="status")


async def release(api: client.Client, held: address.Address) -> None:
    """Let go of an address after asking the server, not the cache, that nobody can come back to it."""
    spec = held.spec
    if await api.find(pod.Pod, spec.instance, namespace=spec.namespace) is not None:
        return
    if spec.unit and is_wanted(held, owner=await api.find(unit.Unit, spec.unit, namespace=spec.namespace)):
        return
    await drop(api, held)


async def drop(api: client.Client, held: address.Address) -> None:
    """Delete the object, and no successor of it."""
    try:
        await api.delete(address.Address, held.metadata.name, uid=held.metadata.uid)
    except (errors.NotFound, errors.Conflict):
        return
