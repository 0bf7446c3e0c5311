"""Loops that move what is towards what is wanted; a folder per controller, a file per step.

Belongs here: reading the cache, calling planning, writing through the client.
Does not: deciding in place what planning can decide purely.
"""
