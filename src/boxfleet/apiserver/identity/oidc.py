"""Users of other issuers: ID tokens of OpenID Connect providers (Core 1.0), whose keys are fetched and kept.

Known keys go on serving while an issuer is down. The fields of the configuration are those of Kubernetes'
AuthenticationConfiguration (apiserver.config.k8s.io).
"""

import asyncio
import base64
import binascii
import ssl
import warnings
from collections.abc import Sequence
from typing import Any

import aiohttp
import msgspec
import structlog
from joserfc import errors, jwk, jwt

from boxfleet.apiserver import authn
from boxfleet.apiserver.identity import decisions
from boxfleet.kit import clock as clocks
from boxfleet.store import store as stores

log = structlog.get_logger()

# Signatures of key pairs alone: with a shared secret, or none, whoever checks could also sign.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")
# Seconds: what clocks may differ, how long keys are fresh, how often an unknown key makes us ask, and how long a
# decision is remembered.
_SKEW = 60
_FRESH = 3600.0
_ASK_AGAIN = 10.0
_REMEMBERED = 300
_TIMEOUT = aiohttp.ClientTimeout(total=10.0)
_LARGEST = 1024 * 1024
_LONGEST_TOKEN = 64 * 1024
_RESERVED = "system:"


class ConfigError(Exception):
    """The configuration cannot be used; the text says why."""


class _Strict(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A field that is misspelt must not be passed over."""


class IssuerSettings(_Strict):
    """Whose tokens, meant for whom; `certificateAuthority` is PEM, the system's authorities when empty."""

    url: str
    audiences: list[str]
    certificateAuthority: str = ""


class Mapping(_Strict):
    """Which claim, and what is put before it; without a prefix it is the issuer's URL and ``#`` for user names."""

    claim: str
    prefix: str | None = None


class Mappings(_Strict):
    """Where name and groups stand."""

    username: Mapping = msgspec.field(default_factory=lambda: Mapping(claim="sub"))
    groups: Mapping | None = None


class Requirement(_Strict):
    """A claim that must have a value."""

    claim: str
    requiredValue: str


class Trusted(_Strict):
    """One issuer."""

    issuer: IssuerSettings
    claimMappings: Mappings = msgspec.field(default_factory=Mappings)
    claimValidationRules: list[Requirement] = []

    def __post_init__(self) -> None:
        if not self.issuer.url.startswith("https://"):
            raise ValueError("issuer.url must begin with https://")
        if not self.issuer.audiences:
            raise ValueError("issuer.audiences must name this API's client ids")


class Configuration(_Strict):
    """All issuers."""

    apiVersion: str = ""
    kind: str = ""
    jwt: list[Trusted] = []


class _Keys:
    """The keys of one issuer."""

    def __init__(self, settings: IssuerSettings, *, clock: clocks.Clock) -> None:
        self._settings = settings
        self._clock = clock
        try:
            self._tls = ssl.create_default_context(cadata=settings.certificateAuthority or None)
        except ssl.SSLError as error:
            raise ConfigError(f"certificateAuthority of {settings.url}: {error}") from None
        self._lock = asyncio.Lock()
        self._keys: list[Any] = []
        self._fetched = float("-inf")
        self._tried = float("-inf")

    async def fitting(self, header: dict[str, Any]) -> list[Any]:
        """The keys that may have signed; asked for anew when they are old, or this one is unknown."""
        found = self._find(header)
        now = self._clock.monotonic()
        if (found and now - self._fetched < _FRESH) or now - self._tried < _ASK_AGAIN:
            return found
        async with self._lock:
            # Whoever came first has asked for all.
            if self._clock.monotonic() - self._tried >= _ASK_AGAIN:
                self._tried = self._clock.monotonic()
                await self._fetch()
        return self._find(header)

    def _find(self, header: dict[str, Any]) -> list[Any]:
        wanted = header.get("kid")
        return [key for key in self._keys if wanted is None or key.kid in (None, wanted)]

    async def _fetch(self) -> None:
        url = self._settings.url.rstrip("/")
        try:
            connector = aiohttp.TCPConnector(ssl=self._tls)
            async with aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT) as session:
                found = await _json(session, f"{url}/.well-known/openid-configuration")
                if found.get("issuer") != self._settings.url:
                    raise ValueError(f"it says that it is {found.get('issuer')!r}")
                where = found.get("jwks_uri")
                if not isinstance(where, str) or not where.startswith("https://"):
                    raise ValueError("its jwks_uri is no https URL")
                listed = (await _json(session, where)).get("keys")
                self._keys = [key for each in listed or () if (key := _key(each)) is not None]
                self._fetched = self._clock.monotonic()
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, TypeError, AttributeError) as error:
            log.warning("cannot ask an issuer of tokens for its keys; known ones go on", issuer=url, cause=str(error))


class Issuers:
    """Implements authn.Authenticator for the tokens of all issuers."""

    def __init__(self, store: stores.Store, trusted: Sequence[Trusted], *, clock: clocks.Clock) -> None:
        self._clock = clock
        self._known = decisions.Decisions(store, clock=clock)
        self._trusted = {each.issuer.url: (each, _Keys(each.issuer, clock=clock)) for each in trusted}
        if len(self._trusted) != len(trusted):
            raise ConfigError("an issuer is named twice")

    async def authenticate(self, shown: authn.Shown) -> authn.User | None:
        """The user of an ID token that is meant for this API."""
        token = shown.token
        if not self._trusted or shown.audiences or not token.startswith("eyJ"):
            return None
        digest = shown.digest
        decision = self._known.find(digest)
        if decision is None:
            decision = await self._judge(token)
            if decision is None or not self._known.keep(digest, decision):
                return None
        return decision.user

    async def _judge(self, token: str) -> decisions.Decision | None:
        header, claims = _unchecked(token)
        issuer = claims.get("iss")
        if not isinstance(issuer, str) or issuer not in self._trusted or header.get("alg") not in ALGORITHMS:
            return None
        trusted, keys = self._trusted[issuer]
        for key in await keys.fitting(header):
            try:
                with warnings.catch_warnings():
                    # RFC 9864 has a newer name for EdDSA, which issuers do not say yet.
                    warnings.simplefilter("ignore")
                    checked = jwt.decode(token, key, algorithms=list(ALGORITHMS))
            except (errors.JoseError, ValueError):
                continue
            return self._decision(trusted, checked.claims)
        return None

    def _decision(self, trusted: Trusted, claims: dict[str, Any]) -> decisions.Decision | None:
        now = self._clock.now().timestamp()
        audiences = claims.get("aud")
        audiences = [audiences] if isinstance(audiences, str) else audiences
        end, begin = claims.get("exp"), claims.get("nbf", 0)
        if not isinstance(end, int | float) or not isinstance(begin, int | float) or not isinstance(audiences, list):
            return None
        if end + _SKEW <= now or begin - _SKEW > now or not set(trusted.issuer.audiences) & _texts(audiences):
            return None
        if any(claims.get(each.claim) != each.requiredValue for each in trusted.claimValidationRules):
            return None
        user = _user(trusted, claims)
        if user is None:
            return None
        expires = int(min(end + _SKEW, now + _REMEMBERED))
        return decisions.Decision(user=user, audiences=frozenset(), expires=expires, bonds=[])


def _user(trusted: Trusted, claims: dict[str, Any]) -> authn.User | None:
    named = trusted.claimMappings.username
    name = claims.get(named.claim)
    if not isinstance(name, str) or not name:
        return None
    if named.claim == "email" and claims.get("email_verified", True) is not True:
        return None
    prefix = named.prefix
    if prefix is None:
        prefix = "" if named.claim == "email" else f"{trusted.issuer.url}#"
    groups: list[str] = []
    grouped = trusted.claimMappings.groups
    if grouped is not None:
        found = claims.get(grouped.claim) or []
        found = [found] if isinstance(found, str) else found
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            return None
        groups = [f"{grouped.prefix or ''}{each}" for each in found]
    # Nobody else says who is a part of the system.
    if (prefix + name).startswith(_RESERVED):
        return None
    kept = tuple(each for each in groups if not each.startswith(_RESERVED))
    return authn.with_implied_groups(authn.User(name=prefix + name, groups=kept))


def _texts(values: list[Any]) -> set[str]:
    return {each for each in values if isinstance(each, str)}


def _unchecked(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims as they are said, for finding whom to ask."""
    parts = token.split(".")
    if len(parts) != 3 or len(token) > _LONGEST_TOKEN:
        return {}, {}
    try:
        said = [msgspec.json.decode(base64.urlsafe_b64decode(each + "=" * (-len(each) % 4))) for each in parts[:2]]
    except (binascii.Error, msgspec.DecodeError, UnicodeError, ValueError):
        return {}, {}
    return (said[0], said[1]) if all(isinstance(each, dict) for each in said) else ({}, {})


def _key(said: Any) -> Any:
    """A public key of a set; none when it is of a sort that we do not use."""
    if not isinstance(said, dict) or said.get("kty") not in ("RSA", "EC", "OKP") or said.get("use", "sig") != "sig":
        return None
    try:
        return jwk.import_key(said)
    except (errors.JoseError, ValueError, TypeError, KeyError):
        return None


async def _json(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.get(url, allow_redirects=False) as answer:
        if answer.status != 200:
            raise ValueError(f"{url} answers {answer.status}")
        body = await answer.content.read(_LARGEST)
    found = msgspec.json.decode(body)
    if not isinstance(found, dict):
        raise ValueError(f"{url} is no JSON object")
    return found
