"""Order of API versions: ``v2``, ``v1``, ``v1beta2``, ``v1beta1``, ``v1alpha1``, then others by name."""

import re

_VERSION = re.compile(r"v([1-9]\d{0,8})(?:(alpha|beta)([1-9]\d{0,8}))?")
_STAGE = {"alpha": 1, "beta": 2, None: 3}


def priority(name: str) -> tuple[int, int, int, int, str]:
    """A key that sorts the preferred version first (Kubernetes documentation, "Version priority")."""
    match = _VERSION.fullmatch(name)
    if match is None:
        return (1, 0, 0, 0, name)
    major, stage, minor = match.groups()
    return (0, -_STAGE[stage], -int(major), -int(minor or 0), name)
