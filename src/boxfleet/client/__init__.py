"""The typed client of the Kubernetes API, a cache fed by a watch, and the loop that works through its changes.

Belongs here: speaking the API, over a socket or to an app in the same process. Does not: deciding anything.
"""
