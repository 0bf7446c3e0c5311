"""Drives a Kubernetes cluster of somebody else's as it is, from 1.20 on: shares become StatefulSets and their like.

Belongs here: native objects of a share, the view of what became of them, streams. Does not: which share goes where.

`template` and `shape` decide without the cluster, `delivery` carries out, `view` watches, `connection` speaks.
"""
