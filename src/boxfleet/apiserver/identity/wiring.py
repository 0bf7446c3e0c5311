"""All of it put together: what the API server is given."""

import dataclasses
from collections.abc import Sequence

from boxfleet.apiserver import authn, route
from boxfleet.apiserver.identity import (
    accounts,
    certificates,
    issuer_documents,
    join_tokens,
    local_users,
    names,
    oidc,
    signer,
    signing,
    token_requests,
)
from boxfleet.kit import clock as clocks
from boxfleet.store import store as stores


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who is known, and the routes by which proofs are asked for."""

    authenticators: Sequence[authn.Authenticator]
    routes: Sequence[route.Route]
    signer: signer.Signer
    # Tokens of ServiceAccounts.
    accounts: accounts.Accounts


def identity(
    store: stores.Store,
    *,
    token_keys: signing.Keys,
    authority: signer.Authority,
    issuer: str,
    server: str,
    clock: clocks.Clock,
    trusted: Sequence[oidc.Trusted] = (),
) -> Identity:
    """All of it.

    `issuer` is what tokens name as their maker, `server` the URL of this API; `authority` signs certificates, `trusted`
    are other issuers of users' tokens.
    """
    others = oidc.Issuers(store, trusted, clock=clock)
    local = local_users.LocalUsers(store, token_keys, issuer=issuer, clock=clock)
    joining = join_tokens.JoinTokens(store, clock=clock)
    known = accounts.Accounts(store, token_keys, issuer=issuer, clock=clock)
    return Identity(
        authenticators=[certificates.CertificateUsers(store, clock=clock), known, joining, others, local],
        signer=signer.Signer(store, authority, names.NodeNames(store, joining, clock=clock), clock=clock),
        accounts=known,
        routes=[
            *token_requests.TokenRequests(store, known, clock=clock).routes(),
            *local.routes(),
            *issuer_documents.routes(token_keys, issuer=issuer, server=server),
        ],
    )
