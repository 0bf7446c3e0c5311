"""containerd: the container runtime behind CRI, its daemon, its events and its streams.

Belongs here: its configuration, its process, its wire, what it leaves behind. Does not: when anything is started.
"""
