"""Hosts that are made when instances fit nowhere, and go when they are not needed; README.md lists the steps.

Belongs here: the life of machines from a name in the API to their end. Does not: how many there should be
(planning), nor how a provider is spoken to (drivers).
"""
