"""What others need to check our tokens: OpenID Connect Discovery 1.0 (section 4), as far as Kubernetes has it."""

import msgspec

from boxfleet.apiserver import route
from boxfleet.apiserver.identity import signing

CONFIGURATION = "/.well-known/openid-configuration"
KEY_SET = "/openid/v1/jwks"
PATHS = (CONFIGURATION, KEY_SET)


def routes(keys: signing.Keys, *, issuer: str, server: str) -> list[route.Route]:
    """The two documents; `server` is the URL at which the API is called."""
    configuration = msgspec.json.encode(
        {
            "issuer": issuer,
            "jwks_uri": f"{server}{KEY_SET}",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [signing.ALGORITHM],
        }
    )
    key_set = msgspec.json.encode(keys.published())

    def document(path: str, body: bytes, content_type: str) -> route.Route:
        async def handle(call: route.Call) -> route.Answer:
            return route.Answer(
                body=body, content_type=content_type, headers=[("cache-control", "public, max-age=3600")]
            )

        return route.Route(method="GET", path=path, access=route.Access(verb="get"), handle=handle)

    return [
        document(CONFIGURATION, configuration, "application/json"),
        document(KEY_SET, key_set, "application/jwk-set+json"),
    ]
