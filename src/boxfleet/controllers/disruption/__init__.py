"""The status of PodDisruptionBudgets; README.md lists the steps.

Belongs here: counting Pods for budgets. Does not: letting evictions through, which the API server decides in the
transaction of the eviction.
"""
