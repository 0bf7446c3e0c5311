"""Tokens of ServiceAccounts that lie in Secrets and have no end; README.md says how.

Belongs here: filling such Secrets, and their end. Does not: what a token says, or whether one holds.
"""
