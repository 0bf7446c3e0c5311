"""Every object beside the ResourceQuotas of its Namespace."""

from collections.abc import Iterable, Iterator
from functools import partial

from boxfleet.api import admission, kind, resource_quota
from boxfleet.planning import counting, quotas, usage


def accounts(
    of: kind.Kind, new: kind.JsonObject | None, old: kind.JsonObject | None, look: admission.Look
) -> Iterable[admission.Account]:
    """The quotas on which a write counts. Raises admission.Refused for a Pod that leaves out what one limits."""
    if not of.namespaced:
        return ()
    namespace = (new or old or {})["metadata"]["namespace"]
    found = list(look.raw(resource_quota.ResourceQuota, namespace=namespace))
    return _accounts(of, new, old, namespace, found) if found else ()


def _accounts(
    of: kind.Kind,
    new: kind.JsonObject | None,
    old: kind.JsonObject | None,
    namespace: str,
    found: list[kind.JsonObject],
) -> Iterator[admission.Account]:
    for quota in found:
        spec = quota.get("spec") or {}
        name = quota["metadata"]["name"]
        if old is None and new is not None and of.qualified == "pods" and (unsaid := quotas.unsaid(spec, new)):
            raise admission.Refused(f"failed quota: {name}: {unsaid}")
        delta = usage.less(quotas.counted(spec, of, new), quotas.counted(spec, of, old))
        if delta:
            yield admission.Account(
                kind=resource_quota.ResourceQuota.KIND,
                namespace=namespace,
                name=name,
                change=partial(_charged, delta=delta),
            )


def _charged(quota: kind.JsonObject, *, delta: usage.Amounts) -> kind.JsonObject | None:
    limited = (quota.get("spec") or {}).get("hard") or {}
    return counting.charged(quota["metadata"]["name"], quota, delta, limited=limited)
