"""Implementations of ports, each driving one real engine; they do not know each other.

Belongs here: how an engine is spoken to and looked after. Does not: policy.
"""
