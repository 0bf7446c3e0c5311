"""What every Namespace has, and its emptying before it goes; README.md lists the steps.

Belongs here: what a Namespace's whole content has in common. Does not: how one kind of object ends.
"""
