"""The engine that picks places: nodes for instances, clusters for shares.

Belongs here: what is asked, what is offered, rules, scores, and the arrays that make them fast.
Does not: API objects but for parts of a Pod's spec, caches, clocks, chance.
"""
