"""Checks of containers: how one is asked, and the loop that asks again and again.

Belongs here: asking. Does not: what results amount to (planning.probing).
"""
