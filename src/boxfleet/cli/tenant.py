"""``boxfleet tenant``: who shares the fleet, and what they use of it."""

import asyncio
from collections.abc import Sequence

import msgspec

from boxfleet.api import meta, tenant
from boxfleet.app import access, settings
from boxfleet.cli import faults, options, output


def create(
    known: settings.All,
    name: str,
    *,
    namespaces: Sequence[str],
    members: Sequence[str],
    quota: Sequence[str],
    kubeconfig: str | None = None,
) -> int:
    """Make a Tenant from words; what they cannot say goes into a file for `kubectl apply`."""
    spec = tenant.TenantSpec(
        namespaces=[tenant.TenantNamespace(name=each) for each in namespaces],
        members=[_member(each) for each in members],
        quota=dict(_pair(each, "--quota", "cpu=8") for each in quota),
    )
    made = tenant.Tenant(metadata=meta.ObjectMeta(name=name), spec=spec)
    asyncio.run(_create(known, made, kubeconfig))
    output.say(f"tenant {name} created")
    return 0


def show(known: settings.All, name: str, form: options.Format, *, kubeconfig: str | None = None) -> int:
    """Print one Tenant."""
    found = asyncio.run(_get(known, name, kubeconfig))
    if form is not options.Format.TEXT:
        output.data(found, form)
        return 0
    condition = meta.find_condition(found.status.conditions, "Ready")
    output.say(f"{name}: {condition.message if condition is not None else 'not looked at yet'}")
    output.say(f"namespaces: {', '.join(found.status.namespaces) or 'none'}")
    members = [f"{each.kind} {each.name} ({each.role})" for each in found.spec.members]
    output.say(f"members: {', '.join(members) or 'none'}")
    rows = [(resource, found.status.used.get(resource, "0"), most) for resource, most in found.status.hard.items()]
    for line in output.columns([("QUOTA", "USED", "OF"), *rows] if rows else []):
        output.say(line)
    return 0


def show_all(known: settings.All, form: options.Format, *, kubeconfig: str | None = None) -> int:
    """Print all Tenants."""
    found = asyncio.run(_list(known, kubeconfig))
    if form is not options.Format.TEXT:
        output.data(found, form)
        return 0
    rows = [
        (each.metadata.name, str(len(each.status.namespaces)), str(len(each.spec.members)), _shares(each))
        for each in found
    ]
    for line in output.columns([("TENANT", "NAMESPACES", "MEMBERS", "USED"), *rows]):
        output.say(line)
    return 0


async def _create(known: settings.All, made: tenant.Tenant, kubeconfig: str | None) -> None:
    async with access.way(known, kubeconfig) as api:
        await api.create(made)


async def _get(known: settings.All, name: str, kubeconfig: str | None) -> tenant.Tenant:
    async with access.way(known, kubeconfig) as api:
        return await api.get(tenant.Tenant, name)


async def _list(known: settings.All, kubeconfig: str | None) -> list[tenant.Tenant]:
    async with access.way(known, kubeconfig) as api:
        return (await api.list(tenant.Tenant)).items


def _shares(subject: tenant.Tenant) -> str:
    used = subject.status.used
    return ", ".join(f"{name} {used.get(name, '0')}/{most}" for name, most in subject.status.hard.items())


def _member(text: str) -> tenant.Member:
    """``jane=developer``, ``group:ops=tenant-admin``."""
    who, role = _pair(text, "--member", "jane=developer or group:ops=tenant-admin")
    sort, colon, name = who.partition(":")
    kind = "User"
    if colon and sort in ("user", "group"):
        kind, who = sort.capitalize(), name
    try:
        return msgspec.convert({"kind": kind, "name": who, "role": role}, tenant.Member)
    except msgspec.ValidationError:
        roles = ", ".join(tenant.MemberRole)
        raise faults.CommandFailed(f"--member {text}: there is no role {role}; the roles are {roles}") from None


def _pair(text: str, option: str, example: str) -> tuple[str, str]:
    name, mark, value = text.rpartition("=")
    if not (mark and name and value):
        raise faults.CommandFailed(f"{option} {text}: write it as {example}")
    return name, value
