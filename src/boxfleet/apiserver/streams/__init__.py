"""The server's end of exec, attach, logs and port-forward: users on one side, dialled-in agents on the other.

`agents` knows who is connected and orders streams; each other file speaks one protocol with users. Nothing here
knows what a container runtime is.
"""
