"""Users of a real OpenID Connect provider on loopback: discovery and keys by HTTPS, tokens that hold and do not."""

import base64
import datetime
import pathlib
import ssl
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp import web
from joserfc import jwk, jwt

from boxfleet.apiserver import authn
from boxfleet.apiserver.identity import oidc
from boxfleet.kit import clock
from boxfleet.store import store
from boxfleet.testing import certificates

pytestmark = pytest.mark.anyio


class Clock(clock.SystemClock):
    """The machine's clock, some time ahead."""

    ahead = 0.0

    def now(self) -> datetime.datetime:
        return super().now() + datetime.timedelta(seconds=self.ahead)

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


class Provider:
    """An issuer with its keys."""

    def __init__(self) -> None:
        self.authority = certificates.Authority.make()
        self.keys: list[Any] = [key("RS256", "one")]
        self.asked = 0
        self.url = ""
        self.says = ""

    async def run(self, folder: pathlib.Path) -> web.AppRunner:
        pair = self.authority.issue("provider", addresses=["127.0.0.1"])
        path = folder / "provider.pem"
        path.write_bytes(pair.certificate_pem + pair.key_pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        app = web.Application()
        app.router.add_get("/realm/.well-known/openid-configuration", self._configuration)
        app.router.add_get("/realm/keys", self._keys)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        self.url = f"https://127.0.0.1:{runner.addresses[0][1]}/realm"
        return runner

    async def _configuration(self, _: web.Request) -> web.Response:
        return web.json_response({"issuer": self.says or self.url, "jwks_uri": f"{self.url}/keys"})

    async def _keys(self, _: web.Request) -> web.Response:
        self.asked += 1
        return web.json_response({"keys": [each.as_dict(private=False) for each in self.keys]})

    def token(self, *, using: Any = None, alg: str = "RS256", kid: bool = True, **claims: Any) -> str:
        chosen = using or self.keys[0]
        now = int(time.time())
        said = {"iss": self.url, "aud": "fleet", "sub": "jane", "exp": now + 600, "groups": ["dev", "ops"], **claims}
        header = {"alg": alg, **({"kid": chosen.kid} if kid else {})}
        return jwt.encode(header, {k: v for k, v in said.items() if v is not None}, chosen, algorithms=[alg])


def key(alg: str, kid: str) -> Any:
    extra = {"kid": kid, "use": "sig"}
    if alg.startswith("ES"):
        return jwk.ECKey.generate_key({"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[alg], extra)
    if alg.startswith("Ed"):
        return jwk.OKPKey.generate_key("Ed25519", extra)
    return jwk.RSAKey.generate_key(2048, extra)


@pytest.fixture
async def provider(tmp_path: pathlib.Path, anyio_backend: str) -> AsyncIterator[Provider]:
    made = Provider()
    runner = await made.run(tmp_path)
    yield made
    await runner.cleanup()


@pytest.fixture
async def opened(tmp_path: pathlib.Path, anyio_backend: str) -> AsyncIterator[store.Store]:
    found = await store.Store.open(tmp_path / "boxfleet.db")
    yield found
    await found.close()


def issuers(opened: store.Store, provider: Provider, *, time: clock.Clock | None = None, **more: Any) -> oidc.Issuers:
    issuer = {
        "url": provider.url,
        "audiences": ["fleet"],
        "certificateAuthority": provider.authority.certificate_pem.decode(),
    }
    settings = {"issuer": issuer, "claimMappings": {"groups": {"claim": "groups", "prefix": "corp:"}}} | more
    return oidc.Issuers(opened, [msgspec.convert(settings, oidc.Trusted)], clock=time or Clock())


async def who(known: oidc.Issuers, token: str) -> str:
    user = await known.authenticate(authn.shown_token(token))
    return "" if user is None else f"{user.name.rpartition('#')[2]} {','.join(user.groups)}"


JANE = "jane corp:dev,corp:ops,system:authenticated"


async def test_name_and_groups_come_from_claims(opened: store.Store, provider: Provider) -> None:
    known = issuers(opened, provider)
    user = await known.authenticate(authn.shown_token(provider.token()))
    assert user is not None
    assert user.name == f"{provider.url}#jane"
    assert await who(known, provider.token(groups="one")) == "jane corp:one,system:authenticated"
    assert await who(known, provider.token(groups=None)) == "jane system:authenticated"
    assert provider.asked == 1
    mail = issuers(opened, provider, claimMappings={"username": {"claim": "email"}, "groups": {"claim": "groups"}})
    assert await who(mail, provider.token(email="j@x.org", groups=["system:masters", "a"])) == (
        "j@x.org a,system:authenticated"
    )
    assert await who(mail, provider.token(email="j@x.org", email_verified=False)) == ""
    bare = issuers(opened, provider, claimMappings={"username": {"claim": "sub", "prefix": ""}})
    assert await who(bare, provider.token(sub="system:admin")) == ""


@pytest.mark.filterwarnings("ignore:.*EdDSA")
@pytest.mark.parametrize("alg", ["RS256", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"])
async def test_all_common_signatures(opened: store.Store, provider: Provider, alg: str) -> None:
    provider.keys = [key("RS256", "other"), key(alg, "mine")]
    known = issuers(opened, provider)
    assert await who(known, provider.token(using=provider.keys[1], alg=alg)) == JANE
    assert await who(known, provider.token(using=provider.keys[1], alg=alg, kid=False)) == JANE


async def test_what_does_not_hold_is_nobodys(opened: store.Store, provider: Provider) -> None:
    known = issuers(opened, provider, claimValidationRules=[{"claim": "hd", "requiredValue": "x.org"}])
    good = provider.token(hd="x.org")
    assert await who(known, good) == JANE
    now = int(time.time())
    for claims in (
        {"aud": "others"}, {"aud": ["a", "b"]}, {"aud": None}, {"exp": now - 61}, {"exp": None}, {"exp": "soon"},
        {"nbf": now + 120}, {"hd": "y.org"}, {"hd": None}, {"sub": None}, {"sub": ""}, {"sub": 7},
        {"groups": [1]}, {"iss": "https://127.0.0.1/other"}, {"iss": None},
    ):  # fmt: skip
        assert await who(known, provider.token(**({"hd": "x.org"} | claims))) == "", claims
    # A clock may differ a little.
    assert await who(known, provider.token(hd="x.org", exp=now - 30, nbf=now + 30)) == JANE
    stranger = key("RS256", "one")
    assert await who(known, provider.token(using=stranger, hd="x.org")) == ""
    head, body, signature = good.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    public = jwk.OctKey.import_key(provider.keys[0].as_dict(private=False)["n"])
    shared = jwt.encode({"alg": "HS256", "kid": "one"}, {"iss": provider.url}, public, algorithms=["HS256"])
    for each in (f"{none}.{body}.", f"{none}.{body}.{signature}", shared, f"{head}.{body}.AAAA", "eyJ", "eyJ.a.b", "x"):
        assert await who(known, each) == ""


async def test_keys_are_changed_by_the_issuer(opened: store.Store, provider: Provider) -> None:
    moment = Clock()
    known = issuers(opened, provider, time=moment)
    old = provider.token()
    assert await who(known, old) == JANE
    first = provider.keys[0]
    provider.keys = [key("RS256", "two")]
    moment.ahead = 11
    assert await who(known, provider.token()) == JANE
    assert provider.asked == 2
    # A key that was taken back is worth nothing; whoever tries it does not make us ask again and again.
    for number in range(5):
        assert await who(known, provider.token(using=first, sub=f"a{number}")) == ""
    assert provider.asked == 2


async def test_known_keys_go_on_while_the_issuer_is_down(opened: store.Store, tmp_path: pathlib.Path) -> None:
    provider, moment = Provider(), Clock()
    runner = await provider.run(tmp_path)
    known = issuers(opened, provider, time=moment)
    assert await who(known, provider.token()) == JANE
    await runner.cleanup()
    moment.ahead = 7200
    later = int(time.time()) + 9000
    assert await who(known, provider.token(exp=later)) == JANE
    fresh = issuers(opened, provider)
    assert await who(fresh, provider.token()) == ""


async def test_an_issuer_that_is_another_one_is_not_believed(opened: store.Store, provider: Provider) -> None:
    provider.says = "https://somewhere.else"
    assert await who(issuers(opened, provider), provider.token()) == ""
    provider.says = ""
    provider.authority = certificates.Authority.make()
    assert await who(issuers(opened, provider), provider.token()) == ""


@pytest.mark.parametrize(
    "settings",
    [
        {"issuer": {"url": "http://x", "audiences": ["a"]}},
        {"issuer": {"url": "https://x", "audiences": []}},
        {"issuer": {"url": "https://x", "audiences": ["a"], "audience": "b"}},
        {"issuer": {"url": "https://x"}},
    ],
)
def test_a_configuration_without_use_is_refused(settings: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, oidc.Trusted)
