"""Tokens in the volumes of a Pod: which there are to be, whose files they are, and when each is renewed."""

import base64
import binascii
from collections.abc import Callable, Mapping

import msgspec

from boxfleet.api import config, pod_sources
from boxfleet.api import pod as pods
from boxfleet.planning import pod_volumes

# The part of its life after which a token is renewed, and the longest time until then in seconds: a kubelet's own.
_RENEW_AT = 0.8
_LONGEST = 86400.0


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A token that a Pod is to have; those that are alike are asked for once."""

    audience: str
    seconds: int


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token and its life, in seconds since 1970."""

    text: str
    issued: float
    expires: float

    def __repr__(self) -> str:
        """Say when it ends, never what it is."""
        return f"Token(expires={self.expires})"

    @property
    def renewal(self) -> float:
        """When to ask for the next one."""
        return self.issued + min(_RENEW_AT * (self.expires - self.issued), _LONGEST)


class _Claims(msgspec.Struct):
    exp: float
    iat: float


def wish(source: pod_sources.TokenProjection) -> Wish:
    """What a volume's source asks for."""
    return Wish(audience=source.audience, seconds=source.expirationSeconds)


def wishes(spec: pods.PodSpec) -> dict[Wish, tuple[str, str]]:
    """Every token of a Pod, with the first file that holds it: the volume's name and the path in it."""
    found: dict[Wish, tuple[str, str]] = {}
    for volume in spec.volumes:
        for source in volume.projected.tokens if volume.projected is not None else ():
            found.setdefault(wish(source), (volume.name, source.path))
    return found


def read(text: str) -> Token | None:
    """A token as it was found in a file; None when it is none."""
    try:
        payload = text.split(".")[1]
        said = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=_Claims)
    except (IndexError, binascii.Error, ValueError, msgspec.DecodeError):
        return None
    return Token(text=text, issued=said.iat, expires=said.exp)


def owner(spec: pods.PodSpec) -> int | None:
    """The user that all containers of a Pod run as, by its own words; None when they differ or do not say."""
    whole = spec.securityContext.runAsUser if spec.securityContext is not None else None
    found = set()
    for each in spec.every_container:
        own = each.securityContext.runAsUser if each.securityContext is not None else None
        found.add(own if own is not None else whole)
    return found.pop() if len(found) == 1 else None


def files(
    source: pod_sources.ProjectedVolumeSource,
    *,
    spec: pods.PodSpec,
    namespace: str,
    config_maps: Mapping[str, config.ConfigMap],
    secrets: Mapping[str, config.Secret],
    value: Callable[[pod_sources.DownwardItem], str],
    tokens: Mapping[Wish, Token],
) -> list[pod_volumes.File]:
    """The files of a projected volume; a token that is not there yet has none. Raises `pod_volumes.Missing`."""
    mode = source.defaultMode
    found: dict[str, pod_volumes.File] = {}
    for part in source.sources:
        made: list[pod_volumes.File] = []
        if part.configMap is not None:
            given = part.configMap
            named = pod_sources.ConfigMapVolumeSource(
                name=given.name, items=given.items, optional=given.optional, defaultMode=mode
            )
            made = pod_volumes.config_map_files(named, config_maps, namespace=namespace)
        elif part.secret is not None:
            given = part.secret
            hidden = pod_sources.SecretVolumeSource(
                secretName=given.name, items=given.items, optional=given.optional, defaultMode=mode
            )
            made = pod_volumes.secret_files(hidden, secrets, namespace=namespace)
        elif part.downwardAPI is not None:
            fields = pod_sources.DownwardVolumeSource(items=part.downwardAPI.items, defaultMode=mode)
            made = pod_volumes.downward_files(fields, value)
        elif part.serviceAccountToken is not None and wish(part.serviceAccountToken) in tokens:
            token = tokens[wish(part.serviceAccountToken)]
            made = [_token_file(part.serviceAccountToken.path, token, spec=spec, mode=mode)]
        found.update({each.path: each for each in made})
    return list(found.values())


def _token_file(path: str, token: Token, *, spec: pods.PodSpec, mode: int | None) -> pod_volumes.File:
    """As a kubelet: for the Pod's user alone where that is known, or for its group; else as the volume says."""
    user = owner(spec)
    group = spec.securityContext.fsGroup if spec.securityContext is not None else None
    if user is not None or group is not None:
        mode = 0o600
    return pod_volumes.File(
        path=pod_volumes.safe(path),
        content=token.text.encode(),
        mode=pod_volumes.DEFAULT_MODE if mode is None else mode,
        owner=user,
    )
