"""containerd: the container runtime behind CRI, its daemon, its events and its streams."""
