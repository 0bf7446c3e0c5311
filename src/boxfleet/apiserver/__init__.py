"""A Kubernetes API machine: verbs, watches, discovery, schemas, streams.

Belongs here: what is true of every kind. Does not: what a Box is; kinds are handed in.
"""
