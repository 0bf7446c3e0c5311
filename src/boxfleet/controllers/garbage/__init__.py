"""Garbage collection by ownerReferences; README.md lists the steps."""
