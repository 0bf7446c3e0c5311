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
# Where iptables-nft keeps the rules that are made here.
_TABLES = (("ip", "filter"), ("ip", "nat"), ("ip6", "filter"), ("ip6", "nat"))


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


async def places(run: commands.Commands) -> list[str]:
    """The tables and built-in chains that iptables has, as "FAMILY TABLE" and "FAMILY TABLE CHAIN".

    Empty where iptables is not built on nftables: there they are part of the kernel.
    """
    found = []
    for family, table in await _tables(run):
        found += [f"{family} {table}", *(f"{family} {table} {chain}" for chain in await _chains(run, family, table))]
    return found


async def drop_empty(run: commands.Commands, *, keep: list[str]) -> None:
    """Remove built-in chains without a rule, then tables without a chain, but none of `keep`."""
    for family, table in await _tables(run):
        left = 0
        for chain, unused in (await _chains(run, family, table)).items():
            if unused and f"{family} {table} {chain}" not in keep:
                # Refused when somebody has added a rule since.
                await run.succeeds("nft", "delete", "chain", family, table, chain)
            else:
                left += 1
        if not left and f"{family} {table}" not in keep and not await _chains(run, family, table):
            await run.run("nft", "delete", "table", family, table)


async def _tables(run: commands.Commands) -> list[tuple[str, str]]:
    if "nf_tables" not in await run.run("iptables", "--version"):
        return []
    listed = json.loads(await run.run("nft", "-j", "list", "tables"))["nftables"]
    known = [(one["table"]["family"], one["table"]["name"]) for one in listed if "table" in one]
    return [one for one in known if one in _TABLES]


async def _chains(run: commands.Commands, family: str, table: str) -> dict[str, bool]:
    """The chains by name, and whether nothing would miss them: built in, without a rule, letting all pass."""
    listed = json.loads(await run.run("nft", "-j", "list", "table", family, table))["nftables"]
    used = {one["rule"]["chain"] for one in listed if "rule" in one}
    chains = [one["chain"] for one in listed if "chain" in one]
    return {one["name"]: one.get("policy") == "accept" and one["name"] not in used for one in chains}


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
