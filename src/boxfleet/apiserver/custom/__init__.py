"""Kinds that come and go at run time: CustomResourceDefinitions and their objects.

Belongs here: what a definition may say, its schemas compiled to functions, its kinds, versions and conditions.
Does not: the verbs, which serve such kinds as all others.
"""
