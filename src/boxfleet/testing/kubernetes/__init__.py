"""A real Kubernetes for tests: its programs, built once from Debian's source package, and servers made of them.

Belongs here: building, starting and stopping it. Does not: what is asked of it.
"""
