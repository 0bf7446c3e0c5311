"""The ledger of addresses: who holds which, and whether it answers; README.md lists the steps.

Belongs here: claiming, keeping and releasing Addresses. Does not: which numbers a pool has (planning.addresses), or how
a host makes an address real.
"""
