"""Whether nodes are alive, and what their Cluster adds up to; README.md lists the steps.

Belongs here: Leases, the conditions and taints that follow, sums over nodes. Does not: where instances go.
"""
