"""Server-side apply: who owns which fields, and what an apply makes of an object.

Belongs here: sets of fields, shapes of objects as far as ownership goes, merging, managers and conflicts; all pure.
Does not: HTTP, the store, checks against schemas.
"""
