"""Box to Units, and the Box's status from theirs; README.md lists the steps.

Belongs here: what only a Box knows. Does not: what is inside of a Unit.
"""
