"""Phases of a Pod, by the Kubernetes API type PodPhase."""

# Nothing of it runs, and nothing of it will run again.
TERMINAL = ("Succeeded", "Failed")
