"""The messages that containerd is spoken to with: the few of CRI v1 and of its own events that Boxfleet uses.

Belongs here: the .proto files and what `python -m grpc_tools.protoc` makes of them (see `generate`). Does not: meaning.
"""
