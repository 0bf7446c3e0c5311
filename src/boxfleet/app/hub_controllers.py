"""Controllers, scheduler and drivers against a Kubernetes cluster's API server, as the Deployment there runs them."""

import asyncio
import contextlib
import dataclasses
import os
import pathlib
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping

import structlog

from boxfleet.api import labels, roles, wellknown
from boxfleet.app import access, clusters, hub_objects
from boxfleet.client import client, election, http, shared
from boxfleet.controllers import manager
from boxfleet.controllers import settings as controller_settings
from boxfleet.kit import clock as clocks
from boxfleet.kit import ids, supervise
from boxfleet.scheduler import scheduler
from boxfleet.scheduler import settings as scheduler_settings

log = structlog.get_logger()

# What Kubernetes puts into each container of an account.
_ACCOUNT = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")

# Disruption budgets are in v1 since Kubernetes 1.21.
_OLDER = {"policy/v1": "policy/v1beta1"}

SETTINGS = controller_settings.Settings(hub=True)
SCHEDULING = scheduler_settings.Settings(names=(labels.HUB_SCHEDULER,))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """How the hub's API is reached, and who this process is there before it speaks as one of the parts."""

    server: str
    authority: pathlib.Path | None
    token: str = dataclasses.field(default="", repr=False)
    token_file: pathlib.Path | None = None
    certificate: pathlib.Path | None = None


@contextlib.contextmanager
def home_of(kubeconfig: str) -> Iterator[Home]:
    """The hub of a kubeconfig, or without one that in which this process runs. Raises NoAccess."""
    if not kubeconfig:
        yield _inside()
        return
    given = access.read_kubeconfig(pathlib.Path(kubeconfig))
    with tempfile.TemporaryDirectory(prefix="boxfleet-hub-") as folder:
        yield Home(
            server=given.server,
            authority=_kept(pathlib.Path(folder, "ca.crt"), given.authority),
            token=given.token,
            certificate=_kept(pathlib.Path(folder, "client.pem"), given.certificate),
        )


async def run(home: Home, *, stop: asyncio.Event) -> None:
    """Work whenever elected, until told to stop."""
    clock = clocks.SystemClock()
    async with apis_of(home) as apis:
        fleet = await clusters.fleet_of(apis[roles.CONTROLLERS])
        candidate = election.Election(
            apis[roles.CONTROLLERS],
            name=roles.OFFICE,
            namespace=hub_objects.NAMESPACE,
            identity=f"{os.uname().nodename}_{ids.new_uid()}",
            clock=clock,
        )
        log.info("hub", server=home.server, fleet=fleet)

        async def work() -> None:
            await _work(apis, fleet, clock)

        leading = asyncio.create_task(
            supervise.keep_running("control", lambda: candidate.lead(work), clock=clock), name="control"
        )
        try:
            await stop.wait()
        finally:
            leading.cancel()
            await asyncio.wait([leading])


@contextlib.asynccontextmanager
async def apis_of(home: Home) -> AsyncIterator[Mapping[str, client.Client]]:
    """A client for each part, each with that part's rights alone."""
    async with contextlib.AsyncExitStack() as stack:
        found: dict[str, client.Client] = {}
        older: Mapping[str, str] | None = None
        for part in hub_objects.PARTS:
            way = http.Http(
                home.server,
                token=home.token,
                token_file=home.token_file,
                speaking_as=hub_objects.user_of(part),
                authority=home.authority,
                certificate=home.certificate,
                program=f"boxfleet-{hub_objects.account_of(part)}",
            )
            stack.push_async_callback(way.close)
            if older is None:
                older = await older_of(client.Client(way))
            found[part] = client.Client(way, older=older)
        yield found


async def older_of(api: client.Client) -> Mapping[str, str]:
    """What this Kubernetes has only in an older version of the same form. Raises ApiError."""
    groups = (await api.call("GET", "/apis")).get("groups") or ()
    served = {each["groupVersion"] for group in groups for each in group.get("versions") or ()}
    return {new: old for new, old in _OLDER.items() if new not in served}


async def _work(apis: Mapping[str, client.Client], fleet: str, clock: clocks.Clock) -> None:
    caches = shared.Caches(apis[roles.CONTROLLERS], clock=clock)
    controllers = manager.Manager(
        caches,
        clock=clock,
        settings=SETTINGS,
        cluster_api=apis[roles.CLUSTER_CONTROLLER],
        connectors=clusters.connectors(fleet=lambda: fleet, clock=clock, domain=wellknown.DOMAIN),
        tenant_api=apis[roles.TENANT_CONTROLLER],
    )
    placing = caches.speaking(apis[roles.SCHEDULER])
    loops = {
        "controllers": controllers.run,
        "scheduler": scheduler.Scheduler(placing, clock=clock, settings=SCHEDULING).run,
        # After those that ask for caches.
        "caches": caches.run,
    }
    async with asyncio.TaskGroup() as group:
        for name, loop in loops.items():
            group.create_task(supervise.keep_running(name, loop, clock=clock), name=name)


def _inside() -> Home:
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not _ACCOUNT.exists():
        raise access.NoAccess("this is no container of a Kubernetes cluster: name a kubeconfig with --kubeconfig")
    name = f"[{host}]" if ":" in host else host
    return Home(server=f"https://{name}:{port}", authority=_ACCOUNT / "ca.crt", token_file=_ACCOUNT / "token")


def _kept(path: pathlib.Path, text: str) -> pathlib.Path | None:
    """A text as a file for this user alone, in a folder that is so too."""
    if not text:
        return None
    path.write_text(text)
    return path
