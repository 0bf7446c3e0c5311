"""Binds instances: level one divides Units over clusters, level two picks the node.

Belongs here: the loop around the pure engine in planning. Does not: scoring arithmetic.
"""
