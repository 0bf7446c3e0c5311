"""The only wiring: settings become objects, objects become processes.

Belongs here: composition, process supervision, bootstrap of keys and credentials.
Does not: logic that a room below could own.
"""
