"""What a Tenant says, made real: Namespaces, rights, limits, and the count of what is used; README.md lists the steps.

Belongs here: what is made for a tenant, and taken back. Does not: holding the quota, which the API server does with
every write.
"""
