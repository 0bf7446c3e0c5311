"""Addresses beside what they speak of: a pool that hands them out, and an instance that can have them."""

from boxfleet.api import address, address_pool, admission, fields, kind, labels, meta
from boxfleet.planning import addresses


class _Unit(meta.Object, kw_only=True):
    """Whether a Unit is there; its template may be long and is not read."""

    KIND = kind.Kind(
        group=kind.GROUP, version=kind.VERSION, kind="Unit", plural="units", singular="unit", namespaced=True
    )


class _Pod(meta.Object, kw_only=True):
    """A Pod's metadata."""

    KIND = kind.Kind(group="", version="v1", kind="Pod", plural="pods", singular="pod", namespaced=True)


def write_errors(new: kind.JsonObject, old: kind.JsonObject | None, look: admission.Look) -> list[kind.FieldError]:
    """What is wrong with a claim; one that is there already stays."""
    if old is not None:
        return []
    name, spec = new["metadata"]["name"], new["spec"]
    if fault := _pool_fault(name, spec["pool"], look):
        return [fault]
    fault = None if spec.get("reserved") else _instance_fault(name, spec, look)
    return [fault] if fault is not None else []


def _pool_fault(name: str, pool_name: str, look: admission.Look) -> kind.FieldError | None:
    pool = look.find(address_pool.AddressPool, pool_name)
    if pool is None:
        known = ", ".join(sorted(each.metadata.name for each in look.all(address_pool.AddressPool)))
        return fields.not_found("spec.pool", pool_name, f"the AddressPools are: {known}" if known else "create it")
    number = addresses.number_of(name)
    try:
        why = addresses.refusal(pool.spec, number) if number is not None else ""
    except addresses.PoolError as error:
        why = str(error)
    return fields.invalid("metadata.name", name, f"AddressPool {pool_name} {why}") if why else None


def _instance_fault(name: str, spec: kind.JsonObject, look: admission.Look) -> kind.FieldError | None:
    """Whoever wants an address is there already: a Unit before its instances, or a Pod of its own."""
    namespace, instance, unit = spec["namespace"], spec["instance"], spec.get("unit", "")
    if unit:
        stem, _, ordinal = instance.rpartition("-")
        if stem != unit or not ordinal.isdigit():
            return fields.invalid("spec.instance", instance, f"an instance of Unit {unit} is named {unit}-ORDINAL")
        if look.find(_Unit, unit, namespace=namespace) is None:
            return fields.not_found("spec.unit", unit, _advice("Unit", namespace))
    pod = look.find(_Pod, instance, namespace=namespace)
    if pod is None:
        return None if unit else fields.not_found("spec.instance", instance, _advice("Pod", namespace))
    has = pod.metadata.annotations.get(labels.ADDRESS, "")
    if has not in ("", name):
        other = look.find(address.Address, has)
        if other is not None and (other.spec.namespace, other.spec.instance) == (namespace, instance):
            return fields.invalid("spec.instance", instance, f"has the address {has} already")
    return None


def _advice(wanted: str, namespace: str) -> str:
    return f"there is no such {wanted} in namespace {namespace}; to keep the address for later, set spec.reserved"
