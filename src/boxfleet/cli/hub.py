"""``boxfleet install`` and ``uninstall``: a Kubernetes cluster as Boxfleet's home."""

import asyncio
import pathlib

import yaml

import boxfleet
from boxfleet.app import access, hub, hub_objects
from boxfleet.cli import faults, options, output

_IMAGE = f"boxfleet:{boxfleet.__version__}"
_MADE, _REMOVED = ("get", "create", "patch"), ("get", "delete")


def install(
    kubeconfig: str, *, image: str, replicas: int, dry_run: bool, force: bool, timeout: int, form: options.Format
) -> int:
    """Put kinds, rights and controllers into the cluster, or say what that would change."""
    shown: list[hub.Step] = []

    async def work() -> None:
        async with access.by_kubeconfig(pathlib.Path(kubeconfig)) as api:
            objects = await hub.wanted(api, image=image or _IMAGE, replicas=replicas)
            _require(await hub.lacking(api, objects, _MADE))
            if form is options.Format.YAML and dry_run:
                output.say(yaml.safe_dump_all(objects, sort_keys=False, allow_unicode=True).rstrip())
                return
            told = shown.append if form is not options.Format.TEXT else _say
            await hub.install(api, objects, dry_run=dry_run, force=force, patience=timeout, told=told)

    _run(work)
    if form is options.Format.TEXT:
        last = f"see the controllers with `kubectl -n {hub_objects.NAMESPACE} get pods`"
        output.say("dry run: nothing was changed" if dry_run else f"Boxfleet is installed; {last}")
    elif not (dry_run and form is options.Format.YAML):
        output.data(shown, form)
    return 0


def uninstall(kubeconfig: str, *, keep_data: bool, timeout: int) -> int:
    """Take everything out of the cluster again, or all but the kinds and their objects."""

    async def work() -> None:
        async with access.by_kubeconfig(pathlib.Path(kubeconfig)) as api:
            objects = await hub.wanted(api, image="", replicas=0)
            _require(await hub.lacking(api, objects, _REMOVED))
            await hub.uninstall(api, objects, keep_data=keep_data, patience=timeout, told=_say)

    _run(work)
    output.say("Boxfleet is uninstalled" + ("; its kinds and their objects are still there" if keep_data else ""))
    return 0


def _run(work: hub.Work) -> None:
    try:
        asyncio.run(work())
    except hub.HubError as fault:
        raise faults.CommandFailed(str(fault)) from None


def _require(lacking: list[str]) -> None:
    if lacking:
        raise faults.CommandFailed(
            f"this kubeconfig's user may not {', not '.join(lacking)}; nothing was changed. Ask the cluster's "
            "administrator for these rights (cluster-admin has them)"
        )


def _say(step: hub.Step) -> None:
    output.say(f"{step.kind} {step.name} {step.result}")
