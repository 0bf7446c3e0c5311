"""Where other Pods let an ask go: topology spread, pod affinity and anti-affinity, by Kubernetes' rules.

Counts are by domain (the value of a node's label), so that a decision costs what the domains are in number, and one
look from every place to its domain. They are fresh (surroundings.py) before anything here is asked.
"""

from collections.abc import Iterator

import numpy as np

from boxfleet.planning.engine import asks, columns, kinds, policies, tallies

_NEVER = -np.inf


def refusals(labels: columns.Columns, kind: kinds.Kind, rows: columns.Rows) -> Iterator[kinds.Refusal]:
    """Where it may not go, by cause; of several causes each says so."""
    for number, (spread, tally, own) in enumerate(kind.spreads):
        if spread.required:
            codes = _codes(labels, tally, rows)
            lacking = codes < 0
            yield "spread-label", lacking
            yield "spread", _too_many(kind, number, spread, tally, own).take(codes) & ~lacking
    if kind.near:
        many = [refused.take(_codes(labels, tally, rows)) for tally, refused in _away(kind)]
        yield "near", np.logical_or.reduce(many)
    for tally in kind.apart:
        yield "apart", (tally.counts > 0).take(_codes(labels, tally, rows))
    for tally in kind.repelled:
        if tally.held == 0:
            yield "repelled", (tally.counts > 0).take(_codes(labels, tally, rows))


def totals(kind: kinds.Kind, policy: policies.Policy) -> dict[str, columns.Numbers]:
    """By topology what each domain adds to the score; minus infinity where it may not go."""
    found: dict[str, columns.Numbers] = {}
    hard: list[tuple[str, columns.Mask]] = []
    for number, (spread, tally, own) in enumerate(kind.spreads):
        if spread.required:
            refused = _too_many(kind, number, spread, tally, own)
            refused[-1] = True
            hard.append((tally.topology, refused))
    hard += [(tally.topology, refused) for tally, refused in _away(kind)]
    hard += [(tally.topology, tally.counts > 0) for tally in kind.apart]
    hard += [(tally.topology, tally.counts > 0) for tally in kind.repelled if tally.held == 0]
    for topology, refused in hard:
        so_far = found.get(topology)
        found[topology] = np.where(refused, _NEVER, 0.0 if so_far is None else so_far)
    for parts in (_even(kind, policy), _liked(kind, policy)):
        for tally, worth in parts:
            so_far = found.get(tally.topology)
            found[tally.topology] = worth if so_far is None else so_far + worth
    return found


def parts(labels: columns.Columns, kind: kinds.Kind, row: int, policy: policies.Policy) -> dict[str, float]:
    """What the domains of a place add to its score, by part."""
    found = {}
    for name, many in (("topology", _even(kind, policy)), ("pods", _liked(kind, policy))):
        if many:
            found[name] = sum(float(worth[labels.of(tally.topology).codes[row]]) for tally, worth in many)
    return found


def _even(kind: kinds.Kind, policy: policies.Policy) -> list[tuple[tallies.Tally, columns.Numbers]]:
    """Preferred spreads: the fewer there are beyond the fewest, the better."""
    soft = [(number, *each) for number, each in enumerate(kind.spreads) if not each[0].required]
    found = []
    for number, spread, tally, _ in soft:
        above = np.maximum(0, tally.counts - _least(kind, number, spread, tally))
        worth = policy.topology / len(soft) / (1 + above / spread.skew)
        # Places without the label are the last to be taken.
        worth[-1] = 0.0
        found.append((tally, worth))
    return found


def _liked(kind: kinds.Kind, policy: policies.Policy) -> list[tuple[tallies.Tally, columns.Numbers]]:
    """Preferred terms, its own and those that others hold about it: the more Pods, the more they count."""
    # Wishes of others count where anybody has them.
    others = ((each.held, each) for each in kind.repelled if each.held and each.counts.any())
    wishes = [*kind.wishes, *others]
    whole = sum(abs(weight) for weight, _ in wishes)
    # Places without the label have no such Pods.
    return [(tally, (1 - 1 / (1 + tally.counts)) * (policy.pods * weight / whole)) for weight, tally in wishes]


def _codes(labels: columns.Columns, tally: tallies.Tally, rows: columns.Rows) -> columns.Codes:
    return labels.of(tally.topology).codes[rows]


def _too_many(kind: kinds.Kind, number: int, spread: asks.Spread, tally: tallies.Tally, own: int) -> columns.Mask:
    """Domains that would be too far above the emptiest."""
    return tally.counts > spread.skew - own + _least(kind, number, spread, tally)


def _least(kind: kinds.Kind, number: int, spread: asks.Spread, tally: tallies.Tally) -> int:
    """The fewest in any domain that counts."""
    present = kind.present[number]
    if len(present) == 0 or len(present) < spread.domains:
        return 0
    every = tally.counts[:-1]
    return int((every if len(present) == len(every) else every[present]).min())


def _away(kind: kinds.Kind) -> list[tuple[tallies.Tally, columns.Mask]]:
    """Domains without the Pods that it must be beside."""
    ask = kind.ask
    if not any(tally.counts.any() for tally in kind.near) and all(
        each.matches(ask.namespace, ask.labels) for each in ask.near
    ):
        # The first of a group that wants to be beside its own kind may begin anywhere.
        found = [(tally, np.zeros(len(tally.counts), np.bool_)) for tally in kind.near]
    else:
        found = [(tally, tally.counts <= 0) for tally in kind.near]
    for _, refused in found:
        refused[-1] = True
    return found
