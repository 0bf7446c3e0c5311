"""The server's end of exec, attach, logs and port-forward: users on one side, dialled-in agents on the other.

Belongs here: `agents`, which knows who is connected and orders streams, and a file for each protocol that users speak.
Does not: what a container runtime is.
"""
