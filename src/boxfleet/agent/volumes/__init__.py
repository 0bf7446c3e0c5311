"""Volumes of instances: folders, memory, files made from objects, claims.

Belongs here: making them appear on the host and disappear again. Does not: which volumes a Pod has.
"""
