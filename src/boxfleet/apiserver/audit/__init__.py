"""Who did what, when, from where: the audit log, what goes into it, and recordings of sessions.

Belongs here: the policy, the files and their rotation, searching them, recordings. Does not: who may do what, and what
the requests did; bodies are never seen here.
"""
