"""The log on SQL: every write is one row, its revision is the resourceVersion.

Belongs here: appending, reading and compacting rows durably. Does not: what the values mean.
"""
