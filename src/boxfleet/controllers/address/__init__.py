"""The ledger of addresses: who holds which, and whether it answers; README.md lists the steps."""
