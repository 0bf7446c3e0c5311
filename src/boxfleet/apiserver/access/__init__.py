"""Authorization: who may do what, by roles and for nodes; what follows from it for roles themselves and for questions.

Belongs here: rules, roles and bindings in memory, decisions, reviews, impersonation, the default roles of Kubernetes.
Does not: who somebody is (``authn``), and the roles of a single application, which are handed in.
"""
