"""All instances that ask alike: what they look at, and what was worked out for them over all places."""

import numpy as np

from boxfleet.planning.engine import asks, columns, places, tallies

Refusal = tuple[asks.Trouble, columns.Mask]
# By what it is known that places are what they were: structure, epoch, changes of facts.
Moment = tuple[int, int, int]
# What is not bounded.
UNBOUNDED = 2**62


class Kind:
    """One kind of ask in one table. What is kept by row stays right by looking at rows that changed since."""

    def __init__(self, ask: asks.Ask) -> None:
        self.ask = ask
        # How many of them are in each row.
        self.members: dict[int, int] = {}
        # Tallies that count them, and terms that others hold about them.
        self.feeds: list[tallies.Tally] = []
        self.repelled: list[tallies.Tally] = []
        # With how many the asker itself adds to a domain.
        self.spreads: list[tuple[asks.Spread, tallies.Tally, int]] = []
        self.near: list[tallies.Tally] = []
        self.apart: list[tallies.Tally] = []
        self.wishes: list[tuple[int, tallies.Tally]] = []
        # Amounts by resource of the table, and the same as the least that must be free.
        self.amounts: columns.Counts = np.zeros(0, np.int64)
        self.least: columns.Counts = np.zeros(0, np.int64)
        self.needs: list[tuple[int, int]] = []
        self.forget()

    def forget(self) -> None:
        """Drop what was worked out."""
        self.structure = -1
        self.epoch = -1
        self.seen = 0
        self.seen_static = 0
        self.allowed: columns.Mask = np.empty(0, np.bool_)
        self.worth: columns.Numbers = np.empty(0)
        self.score: columns.Numbers = np.empty(0)
        # The domains that count for each spread, and when that was found.
        self.present: list[columns.Rows] = []
        self.present_at: Moment = (-1, -1, -1)

    @property
    def looks_around(self) -> bool:
        """Whether it matters where other Pods are."""
        return bool(self.spreads or self.near or self.apart or self.repelled or self.wishes)

    def weigh(self, index: dict[str, int], width: int) -> None:
        """Lay amounts out by the table's resources."""
        if len(self.amounts) == width:
            return
        self.amounts = np.zeros(width, np.int64)
        for resource, amount in (*self.ask.requests.items(), *limits(self.ask).items()):
            self.amounts[index[resource]] += amount
        self.needs = [(number, amount) for number, amount in enumerate(self.amounts.tolist()) if amount > 0]
        # Who asks for nothing of a resource is not kept away by there being less than nothing.
        self.least = np.where(self.amounts > 0, self.amounts, -UNBOUNDED)


def limits(ask: asks.Ask) -> dict[str, int]:
    """Limits under the names that places bound them by."""
    return {places.LIMITS + resource: amount for resource, amount in ask.limits.items()}
