"""What a host says of itself: one file per kind of fact, read from the kernel's files below a root that is handed in.

Belongs here: reading /proc, /sys and what programs of the host say, as labels and resources. Does not: what becomes of
the labels of a Node (planning.host_labels), how the host is now (agent.node.vitals).
"""
