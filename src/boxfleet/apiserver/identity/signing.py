"""The server's own signature on tokens: JWTs (RFC 7519) by ES256, and the key set that others check them with."""

from collections.abc import Sequence
from typing import Any

from joserfc import errors, jwk, jwt

ALGORITHM = "ES256"
# Bytes; ours have about one thousand.
_LONGEST = 16 * 1024


class Keys:
    """Private keys (PEM), the newest first: that one signs, all check, so that a new key ends no token."""

    def __init__(self, pems: Sequence[bytes]) -> None:
        self._keys = [_key(pem) for pem in pems]
        self._by_id = {key.kid: key for key in self._keys}

    def sign(self, claims: dict[str, Any]) -> str:
        """A token that says this."""
        newest = self._keys[0]
        return jwt.encode({"alg": ALGORITHM, "kid": newest.kid}, claims, newest, algorithms=[ALGORITHM])

    def verified(self, token: str) -> dict[str, Any] | None:
        """What a token of ours says, whether or not that still holds; None when it is not ours."""
        if len(token) > _LONGEST or token.count(".") != 2:
            return None
        try:
            found = jwt.decode(token, self._of, algorithms=[ALGORITHM])
        except (errors.JoseError, ValueError):
            return None
        return found.claims

    def published(self) -> dict[str, Any]:
        """The public halves as a JWK set (RFC 7517)."""
        return {
            "keys": [
                {**key.as_dict(private=False), "kid": key.kid, "use": "sig", "alg": ALGORITHM} for key in self._keys
            ]
        }

    def _of(self, signed: Any) -> jwk.ECKey:
        key = self._by_id.get(signed.headers().get("kid"))
        if key is None:
            raise errors.InvalidKeyIdError("no key of ours")
        return key


def _key(pem: bytes) -> jwk.ECKey:
    key = jwk.ECKey.import_key(pem)
    key.ensure_kid()
    return key
