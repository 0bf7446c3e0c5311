"""A Docker Swarm: a service for each instance, so that names, environment and files are its own.

Belongs here: how a Pod becomes a service, what tasks tell of it. Does not: what is the same on an engine by itself
(connections, streams into containers that run there).
"""
