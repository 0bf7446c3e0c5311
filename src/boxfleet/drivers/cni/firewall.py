"""The host's packet rules for a bridge: made, and taken away again with those of the portmap plug-in.

All rules carry the bridge's name in a comment, by which they are found.
"""

import json
import re
import shlex

from boxfleet.drivers.cni import commands
from boxfleet.ports import network

_UNKNOWN = ("-m", "conntrack", "!", "--ctstate", "RELATED,ESTABLISHED,DNAT")
# portmap's shared chains, and the built-in chains that jump to them.
_SHARED = ("CNI-HOSTPORT-DNAT", "CNI-HOSTPORT-MASQ", "CNI-HOSTPORT-SETMARK")


async def open_for(run: commands.Commands, pool: network.PoolNetwork) -> None:
    """Let the bridge's instances out under the host's address, and traffic through, whatever others forbid.

    An engine like Docker sets the policy of FORWARD to DROP: so there are rules at its head.
    """
    for rule in _rules(pool):
        table, chain, *words = rule
        if not await run.succeeds("iptables", "-w", "-t", table, "-C", chain, *words):
            await run.run("iptables", "-w", "-t", table, "-I", chain, *words)


async def close_for(run: commands.Commands, *, bridge: str, cni_network: str) -> None:
    """Remove the rules of `open_for`, and the chains that portmap made for sandboxes of the network."""
    for table in ("filter", "nat"):
        saved = await run.run("iptables-save", "-t", table)
        for rule in _rules_with(saved, f"boxfleet {bridge}"):
            await run.run("iptables", "-w", "-t", table, "-D", *rule)
    saved = await run.run("iptables-save", "-t", "nat")
    for rule in _rules_with(saved, f'name: "{cni_network}"'):
        if rule[0] == "CNI-HOSTPORT-DNAT":
            chain = rule[rule.index("-j") + 1]
            await run.run("iptables", "-w", "-t", "nat", "-D", *rule)
            await run.run("iptables", "-w", "-t", "nat", "-F", chain)
            await run.run("iptables", "-w", "-t", "nat", "-X", chain)
    await _drop_unused_portmap_chains(run)


async def tables(run: commands.Commands) -> list[str]:
    """The nftables tables that there are, as "FAMILY NAME"; empty where iptables is not built on nftables."""
    if "nf_tables" not in await run.run("iptables", "--version"):
        return []
    listed = json.loads(await run.run("nft", "-j", "list", "tables"))
    return [f"{one['table']['family']} {one['table']['name']}" for one in listed["nftables"] if "table" in one]


async def drop_empty_tables(run: commands.Commands, *, keep: list[str]) -> None:
    """Remove tables without a rule that iptables made on the way, but none of `keep`."""
    for table in await tables(run):
        family, name = table.split(" ", 1)
        if table in keep or (family, name) not in {("ip", "filter"), ("ip", "nat"), ("ip6", "filter"), ("ip6", "nat")}:
            continue
        listed = json.loads(await run.run("nft", "-j", "list", "table", family, name))["nftables"]
        chains = [one["chain"] for one in listed if "chain" in one]
        untouched = all(chain.get("policy", "") == "accept" for chain in chains)
        if untouched and not any("rule" in one for one in listed):
            await run.run("nft", "delete", "table", family, name)


def _rules(pool: network.PoolNetwork) -> list[list[str]]:
    note = ["-m", "comment", "--comment", f"boxfleet {pool.bridge}"]
    return [
        ["nat", "POSTROUTING", "-s", pool.cidr, "!", "-o", pool.bridge, *note, "-j", "MASQUERADE"],
        ["filter", "FORWARD", "-i", pool.bridge, *note, "-j", "ACCEPT"],
        ["filter", "FORWARD", "-o", pool.bridge, *note, "-j", "ACCEPT"],
        # For ports of the host's loopback address portmap has the bridge take packets for 127.0.0.0/8. Instances may
        # send such packets themselves (raw sockets): they shall not reach what listens for this host alone
        # (CVE-2020-8558). Answers of instances come by connections that are known.
        ["filter", "INPUT", "-i", pool.bridge, "-d", "127.0.0.0/8", *_UNKNOWN, *note, "-j", "DROP"],
    ]


def _rules_with(saved: str, comment: str) -> list[list[str]]:
    """The appended rules of iptables-save whose comment holds the text, as words from the chain on."""
    found = []
    for line in saved.splitlines():
        if line.startswith("-A "):
            words = shlex.split(line)[1:]
            comments = [words[at + 1] for at, word in enumerate(words) if word == "--comment"]
            if any(re.search(re.escape(comment) + r"(\W|$)", one) for one in comments):
                found.append(words)
    return found


async def _drop_unused_portmap_chains(run: commands.Commands) -> None:
    saved = await run.run("iptables-save", "-t", "nat")
    rules = [shlex.split(line)[1:] for line in saved.splitlines() if line.startswith("-A ")]
    chains = {line[1:].split()[0] for line in saved.splitlines() if line.startswith(":")}
    if any(rule[0] == "CNI-HOSTPORT-DNAT" for rule in rules):
        return  # Another CNI network of this host uses them.
    for rule in rules:
        if rule[0] not in _SHARED and rule[rule.index("-j") + 1 :][:1] and rule[rule.index("-j") + 1] in _SHARED:
            await run.run("iptables", "-w", "-t", "nat", "-D", *rule)
    ours = [chain for chain in _SHARED if chain in chains]
    for flag in ("-F", "-X"):
        for chain in ours:
            await run.run("iptables", "-w", "-t", "nat", flag, chain)
