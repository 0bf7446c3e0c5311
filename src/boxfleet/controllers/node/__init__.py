"""Whether nodes are alive, and what their Cluster adds up to; README.md lists the steps."""
