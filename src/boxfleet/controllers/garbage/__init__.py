"""Garbage collection by ownerReferences; README.md lists the steps.

Belongs here: what is true of every kind. Does not: anything that knows what a Unit or a Pod is.
"""
