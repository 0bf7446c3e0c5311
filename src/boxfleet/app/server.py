"""The server process: store, API, controllers and scheduler on one event loop."""

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Mapping

import structlog

from boxfleet.api import autoscaler, catalog, roles, v1beta1
from boxfleet.apiserver import app as apps
from boxfleet.apiserver import authn, fairness, serve
from boxfleet.apiserver.audit import served as audit_served
from boxfleet.apiserver.identity import wiring
from boxfleet.app import (
    access,
    announcing,
    auditing,
    clusters,
    controlling,
    credentials,
    gateway,
    handing_over,
    issuers,
    objects,
    paths,
    pki,
    reaching,
    secret_keys,
    server_tokens,
    services,
    settings,
    token_keys,
)
from boxfleet.client import client, election, inprocess
from boxfleet.kit import clock as clocks
from boxfleet.kit import ids, supervise
from boxfleet.planning import admission
from boxfleet.store import encryption, errors
from boxfleet.store import store as stores

log = structlog.get_logger()

# Seconds between looks at the certificate's age.
_CERTIFICATE_CHECK = 86400.0


async def run(known: settings.Server, *, stop: asyncio.Event, settled: Callable[[], None] = lambda: None) -> None:
    """Serve until told to stop. A part that fails is started again; the process ends only when serving cannot go on.

    `settled` is called once everything is there that stays for as long as this runs.
    """
    where = paths.of(known)
    clock = clocks.SystemClock()
    # Controllers speak to the API like everybody; their tokens live as long as this process.
    tokens = {user: ids.new_token() for user in roles.PARTS}
    async with contextlib.AsyncExitStack() as stack:
        codec = secret_keys.load(where.secret_keys)
        store = await objects.open(known, codec=codec, stop=stop)
        if store is None:
            return
        stack.push_async_callback(store.close)
        await _encrypt_anew(store, codec)
        who = wiring.identity(
            store,
            token_keys=token_keys.load(where.token_keys),
            authority=pki.ClientAuthority(where.pki, clock=clock),
            trusted=issuers.load(where.authentication),
            issuer=f"https://kubernetes.default.svc.{known.domain}",
            server=access.url_of(known),
            clock=clock,
        )
        joining = server_tokens.ServerTokens(store, clock=clock)
        app = apps.ApiServer(
            store,
            types=catalog.TYPES,
            older=[*v1beta1.OLDER, *autoscaler.OLDER],
            authenticators=[_tokens(where, own=tokens), joining, *who.authenticators],
            extra_routes=[
                *who.routes,
                *audit_served.Served(where.audit, clock=clock).routes(),
                *handing_over.HandingOver(known, store, joining).routes(),
            ],
            clock=clock,
            admission_policy=admission.POLICY,
            default_roles=roles.objects(),
            node_reads=roles.NODE_READS,
            limits=fairness.Limits(rate=known.request_rate),
            own_users=roles.PARTS,
            audit=await stack.enter_async_context(auditing.opened(known, clock=clock)),
        )
        await app.start()
        served = await stack.enter_async_context(
            serve.serving(
                app,
                host=known.listen,
                port=known.port,
                certificate=where.server_certificate,
                key=where.server_key,
                clients=where.ca_certificate,
                further=gateway.further(known, store),
            )
        )
        log.info("serving", address=served.address, revision=store.revision)
        apis = {
            user: client.Client(inprocess.InProcess(app, token=token, program=f"boxfleet-{user.rpartition(':')[2]}"))
            for user, token in tokens.items()
        }

        connectors = clusters.connectors(fleet=lambda: handing_over.fleet_of(store), clock=clock, domain=known.domain)
        reach = reaching.Reach(apis[roles.CLUSTER_CONTROLLER], connectors=connectors, clock=clock)
        app.agents.elsewhere = reach

        async def work() -> None:
            await controlling.run(
                known, apis, store, clock=clock, sign=who.accounts.secret_token, connectors=connectors
            )

        loops: dict[str, Callable[[], Awaitable[None]]] = {
            "api": app.run,
            "certificates of clients": who.signer.run,
            "certificate": lambda: _renew(known, clock=clock, stop=stop),
            "control": work,
            "clusters of others": reach.run,
        }
        if store.shared:
            candidate = election.Election(
                apis[roles.CONTROLLERS],
                name=roles.OFFICE,
                namespace="kube-system",
                identity=f"{known.node}_{ids.new_uid()}",
                clock=clock,
            )
            app.metrics.gauge("boxfleet_leading", "Whether controllers run here.", lambda: candidate.leading)
            loops["control"] = lambda: candidate.lead(work)
            announcer = announcing.Announcer(
                apis[roles.SERVER],
                name=f"{known.node}:{known.port}",
                address=access.announced_url(known),
                identity=candidate.identity,
                clock=clock,
            )
            loops["announcement"] = announcer.run
        settled()
        await until(stop, {name: _kept(name, loop, clock) for name, loop in loops.items()})
        log.info("stopping")
        await served.retire(known.stop_delay)


async def until(stop: asyncio.Event, loops: dict[str, Callable[[], Awaitable[None]]]) -> None:
    """Run endless loops until the event is set; a loop that fails ends all."""

    async def one(run: Callable[[], Awaitable[None]]) -> None:
        await run()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(run), name=name) for name, run in loops.items()]
        await stop.wait()
        for task in tasks:
            task.cancel()


def _kept(name: str, loop: Callable[[], Awaitable[None]], clock: clocks.Clock) -> Callable[[], Awaitable[None]]:
    return lambda: supervise.keep_running(name, loop, clock=clock)


def _tokens(where: paths.Paths, *, own: Mapping[str, str]) -> authn.TokenAuthenticator:
    known = [(each.sha256, authn.User(name=each.user, groups=tuple(each.groups))) for each in credentials.load(where)]
    known += [(credentials.digest(token), authn.User(name=user)) for user, token in own.items()]
    return authn.TokenAuthenticator(known)


async def _encrypt_anew(store: stores.Store, codec: encryption.Encryption) -> None:
    """Bring what is confidential under the newest key; where that cannot be written, reading goes on."""
    try:
        count = await secret_keys.rewrite(store, codec)
    except errors.StoreError as error:
        log.warning("secrets stay under an older key until the next start", cause=str(error))
        return
    if count:
        log.info("secrets were encrypted anew", count=count, key=codec.key_id)


async def _renew(known: settings.Server, *, clock: clocks.Clock, stop: asyncio.Event) -> None:
    """Renew the certificate in time, in a process of its own, and begin anew with it."""
    while True:
        await clock.sleep(_CERTIFICATE_CHECK)
        command = [sys.executable, "-m", "boxfleet", "renew", "--state", known.state, "--run", known.run]
        process = await asyncio.create_subprocess_exec(*command)
        if await process.wait() == services.RENEWED:
            log.info("the certificate is new: starting again with it")
            stop.set()
