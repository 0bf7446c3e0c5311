"""A server says that it lives and where it is, and clears away what dead ones said.

No clock of another machine is believed: a Lease is dead when this process has seen it unchanged for long enough.
"""

import hashlib
from typing import Final

import structlog

from boxfleet.api import lease, servers
from boxfleet.client import client, errors
from boxfleet.kit import clock as clocks

log = structlog.get_logger()

# Seconds between signs of life, and without one until others clear it away: a restart is shorter.
RENEW: Final = 10.0
EXPIRY: Final = 60.0


class Announcer:
    """One server's Lease. `name` tells servers apart, `address` is the base URL by which others reach this one."""

    def __init__(self, api: client.Client, *, name: str, address: str, identity: str, clock: clocks.Clock) -> None:
        self._api = api
        self._name = f"apiserver-{hashlib.sha256(name.encode()).hexdigest()[:26]}"
        self._address = address
        self._identity = identity
        self._clock = clock
        # Each other's Lease as it was last seen, and when it was first seen so.
        self._seen: dict[str, tuple[str, float]] = {}

    async def run(self) -> None:
        """Announce until cancelled."""
        while True:
            try:
                await self._look()
            except errors.ApiError as error:
                log.warning("cannot announce this server", lease=self._name, cause=error.message)
            await self._clock.sleep(RENEW)

    async def _look(self) -> None:
        found = await self._api.list(lease.Lease, namespace=servers.NAMESPACE, labels=servers.SELECTOR)
        names = {one.metadata.name for one in found.items}
        await self._renew(exists=self._name in names)
        now = self._clock.monotonic()
        for one in found.items:
            if one.metadata.name != self._name:
                await self._judge(one, now)
        self._seen = {name: seen for name, seen in self._seen.items() if name in names}

    async def _judge(self, one: lease.Lease, now: float) -> None:
        name, version = one.metadata.name, f"{one.metadata.uid} {one.metadata.resourceVersion}"
        before, since = self._seen.get(name, ("", now))
        if version != before:
            self._seen[name] = (version, now)
        elif now - since >= EXPIRY:
            log.info(
                "a server gives no sign of life", lease=name, address=one.metadata.annotations.get(servers.ADDRESS)
            )
            try:
                await self._api.delete(lease.Lease, name, namespace=servers.NAMESPACE, uid=one.metadata.uid)
            except (errors.NotFound, errors.Conflict):
                # Another one was quicker, or it is back.
                return

    async def _renew(self, *, exists: bool) -> None:
        metadata = {"labels": servers.LABELS, "annotations": {servers.ADDRESS: self._address}}
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(EXPIRY),
            "renewTime": clocks.micro_stamp(self._clock.now()),
        }
        if exists:
            try:
                body = {"metadata": metadata, "spec": spec}
                await self._api.patch(lease.Lease, self._name, body, namespace=servers.NAMESPACE)
                return
            except errors.NotFound:
                log.info("this server was taken for dead: announcing it anew", lease=self._name)
        named = {"name": self._name, "namespace": servers.NAMESPACE}
        await self._api.create_raw(lease.Lease, {"metadata": metadata | named, "spec": spec})
