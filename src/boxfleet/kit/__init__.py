"""Small tools without a subject: clocks, back-off, work queues, tasks, daemons, durable files, patches, templates.

Belongs here: what any program could use. Does not: anything that knows a kind, a cluster or Boxfleet itself.
"""
