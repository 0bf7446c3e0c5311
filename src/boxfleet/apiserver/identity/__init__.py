"""Who somebody is: tokens of ServiceAccounts, client certificates, other issuers, local users with passwords.

Belongs here: making proofs of identity and checking them. Does not: what somebody may do (`access`).
"""
