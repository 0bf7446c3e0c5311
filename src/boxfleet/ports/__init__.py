"""Protocols of the world outside: container runtime, images, the network of a host.

Belongs here: what Boxfleet asks of an engine, in words every engine understands. Does not: any one engine.
"""
