"""Unit to instances: claims, files and Pods, in dependency order; README.md lists the steps.

Belongs here: making, refreshing and removing what an instance is made of. Does not: addresses, nodes, containers.
"""
