"""All of it put together: what the API server is given."""

import dataclasses
from collections.abc import Sequence

from boxfleet.apiserver import authn, route
from boxfleet.apiserver.identity import accounts, issuer_documents, signing, token_requests
from boxfleet.kit import clock as clocks
from boxfleet.store import store as stores


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who is known, and the routes by which proofs are asked for."""

    authenticators: Sequence[authn.Authenticator]
    routes: Sequence[route.Route]


def identity(
    store: stores.Store, *, token_keys: signing.Keys, issuer: str, server: str, clock: clocks.Clock
) -> Identity:
    """`issuer` is what tokens name as their maker, `server` the URL of this API."""
    known = accounts.Accounts(store, token_keys, issuer=issuer, clock=clock)
    return Identity(
        authenticators=[known],
        routes=[
            *token_requests.TokenRequests(store, known, clock=clock).routes(),
            *issuer_documents.routes(token_keys, issuer=issuer, server=server),
        ],
    )
