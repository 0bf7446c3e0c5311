"""The kinds: what an object looks like, its defaults and its validation; a file per kind.

Belongs here: plain types and pure functions on them. Does not: I/O, clocks, or how an object is stored or served.
"""
