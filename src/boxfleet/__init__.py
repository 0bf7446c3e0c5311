"""Boxfleet: one control plane for applications on a mixed fleet."""

__version__ = "0.1.0"
