"""The agent's end of exec, attach, logs and port-forward, over connections that it dials out to the server.

`tunnel` keeps the control connection; each other file carries out one kind of order. Nothing here decides what
runs on the host; it only reaches what does.
"""
