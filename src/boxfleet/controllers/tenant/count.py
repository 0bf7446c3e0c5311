"""Step 3: what a tenant uses."""

from collections.abc import Collection

from boxfleet.api import address, meta, pod, volume_claim
from boxfleet.client import client
from boxfleet.planning import tenancy, usage


async def count(api: client.Client, *, spaces: Collection[str]) -> usage.Amounts:
    """Everything in the Namespaces that a tenant's quota may limit; newer than what was read before."""
    found = [{"namespaces": len(spaces)}]
    kinds: tuple[type[meta.Object], ...] = (pod.Pod, volume_claim.PersistentVolumeClaim)
    for space in spaces:
        for each in kinds:
            found += await _of(api, each, spaces, path=client.path_of(each, namespace=space))
    found += await _of(api, address.Address, spaces, path=client.path_of(address.Address))
    return usage.total(found)


async def _of(
    api: client.Client, kind: type[meta.Object], spaces: Collection[str], *, path: str
) -> list[usage.Amounts]:
    answer = await api.call("GET", path)
    counted = (tenancy.of(kind.KIND, item) for item in answer.get("items") or ())
    return [amounts for space, amounts in counted if space in spaces]
