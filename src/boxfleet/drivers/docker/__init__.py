"""docker: a Docker engine or Swarm that somebody else runs, driven as it is through its API.

Belongs here: how a Share becomes containers and volumes (of a Swarm: `swarm`), what the engine tells of them, and the
streams into them. The parts without I/O (`marks`, `support`, `volumes`, `pieces`, `deciding`, `status`) turn plain
values into plain values. Does not: which instances there are to be, and what becomes of their addresses.

The API is spoken to through aiohttp itself: aiodocker has no types for half of the calls, reads logs as text and loses
what is none, cannot end a command's input alone, and shows the loss of the engine as the regular end of its events.
"""
