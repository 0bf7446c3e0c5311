"""A provider of machines by a program of the operator's.

Belongs here: calling it, what it is told and what its answers mean. Does not: any provider in particular.
"""
