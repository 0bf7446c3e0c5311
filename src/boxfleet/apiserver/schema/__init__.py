"""Structural schemas of all kinds: checking, pruning and strategic merge.

Belongs here: what a JSON object of a kind may look like, read from the standard models and from our own types.
Does not: what the values mean (that is `boxfleet.api`), HTTP, storage.
"""

from boxfleet.apiserver.schema.schemas import Checked, Custom, Schemas
from boxfleet.apiserver.schema.strategic import PatchError

__all__ = ["Checked", "Custom", "PatchError", "Schemas"]
