"""Pure decisions: placement, address choice, dependency order, rollout steps, facts of relations.

Belongs here: functions from plain values to plain values. Does not: I/O, clocks or randomness that were not handed in.
"""
