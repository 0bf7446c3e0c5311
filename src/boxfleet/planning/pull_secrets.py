"""Whose name and password a registry is shown: image pull secrets, as Kubernetes looks them up."""

import base64
import binascii
import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from boxfleet.api import config, service_account
from boxfleet.api import pod as pods

# What a reference without a host means, and how configurations of Docker's clients write it.
_HUB = "docker.io"
_HUB_NAMES = frozenset({_HUB, "index.docker.io", "registry-1.docker.io"})
# The key of each type's data, and where in it the registries are.
_TYPES = {
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson", "auths"),
    "kubernetes.io/dockercfg": (".dockercfg", ""),
}


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A name and password that `secret` holds for the registry."""

    username: str
    password: str
    secret: str

    def __repr__(self) -> str:
        """Name the Secret, never what is in it: reprs end up in logs."""
        return f"Credential({self.secret})"


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """What to show the registry of one image, the best fit first; `faults` are the secrets that are of no use."""

    credentials: tuple[Credential, ...] = ()
    faults: tuple[str, ...] = ()


class _Unusable(ValueError):
    """A Secret cannot be read; the text says why, without a word of what is in it."""


def names(spec: pods.PodSpec, account: service_account.ServiceAccount | None) -> list[str]:
    """The Secrets to look into: the Pod's own, else those of its ServiceAccount."""
    own = [one.name for one in spec.imagePullSecrets if one.name]
    if own or account is None:
        return own
    return [one.name for one in account.imagePullSecrets if one.name]


def look_up(reference: str, wanted: Sequence[str], secrets: Mapping[str, config.Secret]) -> Keys:
    """What the named Secrets hold for the registry of an image.

    An entry is for a host (``*`` stands for anything within a part of its name) and perhaps a path below which images
    must be; longer paths come first. Unlike in Kubernetes, the path ``team`` is not good for ``team2``.
    """
    host, path = split(reference)
    found: list[tuple[str, Credential]] = []
    faults = []
    for name in wanted:
        secret = secrets.get(name)
        if secret is None:
            faults.append(f"Secret {name} of imagePullSecrets is not there")
            continue
        try:
            entries = _entries(secret)
            fitting = {where: one for where, one in entries.items() if _fits(where, host=host, path=path)}
            found += [(where, _credential(one, name)) for where, one in fitting.items()]
        except _Unusable as error:
            faults.append(f"Secret {name} of imagePullSecrets {error}")
            continue
        if not fitting:
            faults.append(f"Secret {name} of imagePullSecrets has no entry for {host}")
    found.sort(key=lambda one: len(_place(one[0])[1]), reverse=True)
    return Keys(credentials=tuple(dict.fromkeys(one for _, one in found)), faults=tuple(faults))


def split(reference: str) -> tuple[str, str]:
    """Host, with its port, and repository path of an image's name."""
    name = reference.partition("@")[0]
    folder, slash, last = name.rpartition("/")
    name = folder + slash + last.partition(":")[0]
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return (_HUB if first in _HUB_NAMES else first), rest
    return _HUB, name


def _entries(secret: config.Secret) -> dict[str, Any]:
    if secret.type not in _TYPES:
        raise _Unusable(f"is of type {secret.type or 'Opaque'}, not kubernetes.io/dockerconfigjson")
    key, inner = _TYPES[secret.type]
    try:
        whole = msgspec.json.decode(base64.b64decode(secret.data.get(key, ""), validate=True), type=dict[str, Any])
        return msgspec.convert(whole.get(inner) or {} if inner else whole, dict[str, Any])
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError):
        raise _Unusable(f"does not hold a Docker configuration in its key {key}") from None


def _credential(entry: Any, secret: str) -> Credential:
    try:
        table = msgspec.convert(entry, dict[str, Any])
        username, password = str(table.get("username") or ""), str(table.get("password") or "")
        if not username and table.get("auth"):
            both = base64.b64decode(table["auth"], validate=True).decode()
            username, _, password = both.partition(":")
    except (binascii.Error, msgspec.ValidationError, UnicodeDecodeError, TypeError, ValueError):
        raise _Unusable("has an entry for this registry that is not understood") from None
    if not username:
        raise _Unusable("has no user name for this registry")
    return Credential(username=username, password=password, secret=secret)


def _place(where: str) -> tuple[str, str]:
    """Host and path that an entry's key stands for; keys may be URLs of the registry's API."""
    name = where.partition("://")[2] or where
    host, _, path = name.partition("/")
    parts = [part for part in path.split("/") if part]
    if parts and parts[0] in ("v1", "v2"):
        del parts[0]
    return (_HUB if host in _HUB_NAMES else host), "/".join(parts)


def _fits(where: str, *, host: str, path: str) -> bool:
    wanted, below = _place(where)
    ours, theirs = wanted.split("."), host.split(".")
    return (
        len(ours) == len(theirs)
        and all(fnmatch.fnmatchcase(one, pattern) for one, pattern in zip(theirs, ours, strict=True))
        and (not below or path == below or path.startswith(f"{below}/"))
    )
