"""What counts against a ResourceQuota, from the beginning; README.md lists the steps.

Belongs here: counting what is there already. Does not: counting what is written, which the API server does by itself.
"""
