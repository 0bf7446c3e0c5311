"""``boxfleet rebalance``: what would be moved, and turning it on and off."""

import asyncio
from collections.abc import Sequence

from boxfleet.api import cluster
from boxfleet.app import access, rebalancing, settings
from boxfleet.cli import faults, options, output


def show(
    known: settings.All, names: Sequence[str], mode: str, form: options.Format, *, kubeconfig: str | None = None
) -> int:
    """Print what would be moved now."""

    async def work() -> list[rebalancing.Proposal]:
        async with access.way(known, kubeconfig) as api:
            return await rebalancing.propose(api, names=list(names), mode=mode)

    found = asyncio.run(work())
    if form is not options.Format.TEXT:
        output.data(found, form)
        return 0
    if not found:
        raise faults.CommandFailed("there is no such cluster of hosts: see boxfleet cluster list")
    for each in found:
        output.say(f"cluster {each.cluster}, mode {each.mode}{'' if each.open else ', outside its windows'}")
        rows = [
            (one.name, f"{one.load:.0%}", f"{one.requested:.0%}", str(one.instances), "yes" if one.avoid else "")
            for one in each.hosts
        ]
        for line in output.columns([("HOST", "IN USE", "ASKED FOR", "INSTANCES", "AVOIDED"), *rows]):
            output.say(line)
        for move in each.moves:
            output.say(f"would move {move['instance']} from {move['from']} to {move['to']}: {move['why']}")
        for key, why in each.held.items():
            output.say(f"stays: {key}: {why}")
        if not each.moves:
            output.say("nothing would be moved")
    return 0


def turn(known: settings.All, names: Sequence[str], mode: str, *, kubeconfig: str | None = None) -> int:
    """Let clusters of hosts be rebalanced, or no longer; all of them when none is named."""

    async def work() -> list[str]:
        async with access.way(known, kubeconfig) as api:
            found = (await api.list(cluster.Cluster)).items
            chosen = list(names) or [
                each.metadata.name for each in found if each.spec.type is cluster.ClusterType.HOSTS
            ]
            for name in chosen:
                await api.patch(cluster.Cluster, name, {"spec": {"rebalance": {"mode": mode}}})
            return chosen

    for name in asyncio.run(work()):
        output.say(f"cluster {name}: rebalance {mode}")
    return 0
