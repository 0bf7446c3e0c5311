"""The host as a Node: what it has, how it is, that it lives.

Belongs here: facts of the machine, the Node object, the Lease, the cgroup of all instances. Does not: any Pod.
"""
