"""Moving instances that run, by what hosts really use; README.md lists the steps.

Belongs here: reading real use, carrying plans out gently. Does not: which moves are worth it (planning).
"""
