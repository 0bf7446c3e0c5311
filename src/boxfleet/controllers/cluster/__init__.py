"""Clusters that somebody else runs: shares go there, what became of them comes back; README.md lists the steps.

Belongs here: orders, the mirror of instances and hosts, the Cluster's status. Does not: how an engine is spoken to, nor
which cluster gets what.
"""
