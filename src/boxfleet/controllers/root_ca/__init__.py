"""The ConfigMap in every Namespace by which instances know the API; README.md says how.

Belongs here: keeping it as it should be. Does not: making authorities, or mounting it.
"""
