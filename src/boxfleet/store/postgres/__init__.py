"""The log in PostgreSQL, for several servers that all write.

Belongs here: connections, SQL, this server's commits, the others' rows. Does not: what memory holds, and who watches.
"""
