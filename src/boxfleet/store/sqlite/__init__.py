"""The log in one SQLite file, for one server: a writer thread of its own, with group commit.

Belongs here: SQLite's file, lock, SQL and errors. Does not: what memory holds, and who watches.
"""
