"""The typed client of the Kubernetes API, with a cache fed by a watch.

Belongs here: speaking the API, over a socket or to an app in the same process. Does not: deciding anything.
"""
