"""What a delivery adds to manifests before they are applied: generated Secret values."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from boxfleet.api import kind, labels, names


def generated_keys(manifest: Mapping[str, Any]) -> list[str]:
    """The keys that a Secret wants made: its annotation boxfleet.dev/generate, split at commas and spaces.

    Keys that the manifest itself gives a value are left out. Raises ValueError for what is no key.
    """
    if manifest.get("kind") != "Secret" or manifest.get("apiVersion") != "v1":
        return []
    metadata = manifest.get("metadata") or {}
    asked = str((metadata.get("annotations") or {}).get(labels.GENERATE, ""))
    keys = [key for key in re.split(r"[,\s]+", asked) if key]
    wrong = [key for key in keys if names.config_key(key)]
    if wrong:
        raise ValueError(
            f"Secret {metadata.get('name', '')}: annotation {labels.GENERATE} names {wrong[0]!r}, which is no key: "
            "use letters, digits and - . _, with commas between keys"
        )
    given = {*(manifest.get("data") or {}), *(manifest.get("stringData") or {})}
    return list(dict.fromkeys(key for key in keys if key not in given))


def with_generated(
    manifest: Mapping[str, Any], *, existing: Collection[str], random_text: Callable[[], str]
) -> kind.JsonObject:
    """The manifest of a Secret with a value for every key that is asked for and that the stored Secret has not.

    `existing` holds the keys of the stored Secret, empty when there is none: what was made once is never made
    anew, and a patch of the result leaves it as it is. Any other manifest comes back unchanged.
    """
    missing = [key for key in generated_keys(manifest) if key not in existing]
    if not missing:
        return dict(manifest)
    texts = dict(manifest.get("stringData") or {})
    return dict(manifest) | {"stringData": texts | {key: random_text() for key in missing}}
