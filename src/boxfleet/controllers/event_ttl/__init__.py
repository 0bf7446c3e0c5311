"""What grows old: Events, and Pods whose node is gone; README.md lists the steps.

Belongs here: removal because of age alone. Does not: removal because an owner is gone (garbage).
"""
