"""The agent's end of exec, attach, logs and port-forward, over connections that it dials out to the server.

Belongs here: `tunnel`, which keeps the control connection, and a file for each kind of order, which reaches what runs.
Does not: deciding what runs on the host.
"""
