"""Signs what was approved: clients after somebody said yes, nodes by themselves when they may have the name.

Works from what is in the store, on every server: of two that sign the same request one writes.
"""

import base64
import datetime
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
import structlog
from cryptography import x509
from cryptography.x509 import oid

from boxfleet.api import certificate_request as requests
from boxfleet.apiserver import authz, registry
from boxfleet.apiserver.identity import certificates, join_tokens, names
from boxfleet.kit import clock as clocks
from boxfleet.store import errors
from boxfleet.store import store as stores

log = structlog.get_logger()
JsonObject = dict[str, Any]

KIND = requests.CertificateSigningRequest.KIND
_LIFE_SECONDS = 365 * 86400
# What is done with is of no more use, as in Kubernetes; what nobody decided on is kept a day.
_DONE_SECONDS = 3600
_WAITING_SECONDS = 86400
# Between looks for those that are old.
_AGAIN_SECONDS = 600.0
_SIGNERS = (requests.CLIENT_SIGNER, requests.NODE_SIGNER)
_NODE_USAGES = frozenset({"key encipherment", "digital signature", "client auth"})


class Refused(Exception):
    """The request cannot be signed as it is; the text says why."""


class Authority(Protocol):
    """What client certificates are signed with."""

    def sign_client(
        self, request: x509.CertificateSigningRequest, *, subject: x509.Name, uris: list[str], seconds: int
    ) -> bytes:
        """A certificate of the request's key, as PEM."""


class Signer:
    """Decides on and signs CertificateSigningRequests."""

    def __init__(
        self, store: stores.Store, authority: Authority, claims: names.NodeNames, *, clock: clocks.Clock
    ) -> None:
        self._store = store
        self._authority = authority
        self._names = claims
        self._clock = clock

    async def run(self) -> None:
        """Work until cancelled."""
        prefix = registry.prefix(KIND)
        while True:
            with self._store.watch(prefix, after=self._store.revision) as changes:
                while not changes.closed:
                    # There are few of them, and most are done with.
                    for row in self._store.range(prefix):
                        await self._look(row.key)
                    await changes.take(timeout=_AGAIN_SECONDS)
            await self._clock.sleep(1.0)

    async def _look(self, key: str) -> None:
        row = self._store.get(key)
        if row is None:
            return
        request = msgspec.json.decode(row.value)
        try:
            if self._is_old(request):
                await self._store.delete(key, lambda revision: _encode(request, revision), expected=row.revision)
            elif status := await self._decided(request):
                changed = request | {"status": (request.get("status") or {}) | status}
                await self._store.write(key, lambda revision: _encode(changed, revision), expected=row.revision)
        except errors.Conflict:
            # It is looked at again when that write is seen.
            return
        except errors.StoreError as error:
            log.warning("a request for a certificate waits", name=request["metadata"]["name"], cause=str(error))

    async def _decided(self, request: JsonObject) -> JsonObject:
        """What to write into the status; nothing when there is nothing to do."""
        spec, status = request["spec"], request.get("status") or {}
        conditions = status.get("conditions") or []
        types = {each["type"] for each in conditions}
        if spec["signerName"] not in _SIGNERS or status.get("certificate") or types & {"Denied", "Failed"}:
            return {}
        is_node = spec["signerName"] == requests.NODE_SIGNER
        if "Approved" not in types and not is_node:
            return {}
        now = clocks.stamp(self._clock.now())
        try:
            signed = await self._signed(spec, is_node=is_node, approved="Approved" in types)
        except (names.Taken, join_tokens.UsedUp) as error:
            return {"conditions": [*conditions, _condition("Denied", "MayNotJoin", str(error), now)]}
        except Refused as error:
            kind = "Failed" if "Approved" in types else "Denied"
            return {"conditions": [*conditions, _condition(kind, "SignerValidationFailure", str(error), now)]}
        if signed is None:
            return {}
        if "Approved" not in types:
            conditions = [*conditions, _condition("Approved", "AutoApproved", "asked for by the node's agent", now)]
        return {"conditions": conditions, "certificate": base64.b64encode(signed).decode()}

    async def _signed(self, spec: JsonObject, *, is_node: bool, approved: bool) -> bytes | None:
        wish = requests.read(spec["request"])
        name, groups = _subject(wish)
        usages = set(spec["usages"])
        if "client auth" not in usages or usages - _NODE_USAGES:
            raise Refused("usages did not match: client auth, and beside it digital signature and key encipherment")
        uris = []
        if is_node:
            if groups != [authz.NODES] or not (host := name.removeprefix(authz.NODE_USER)) or host == name:
                raise Refused(f"the subject must be O={authz.NODES}, CN={authz.NODE_USER}NAME")
            if not approved and not self._names.may_have(spec, host):
                return None
            uris = [certificates.uid_uri(await self._names.claim(spec, host, approved=approved))]
        elif authz.MASTERS in groups:
            raise Refused(f"nobody becomes one of {authz.MASTERS} by a certificate")
        seconds = min(spec.get("expirationSeconds") or _LIFE_SECONDS, _LIFE_SECONDS)
        subject = x509.Name(
            [
                *(x509.NameAttribute(oid.NameOID.ORGANIZATION_NAME, each) for each in groups),
                x509.NameAttribute(oid.NameOID.COMMON_NAME, name),
            ]
        )
        return self._authority.sign_client(wish, subject=subject, uris=uris, seconds=seconds)

    def _is_old(self, request: JsonObject) -> bool:
        made = clocks.parse(request["metadata"]["creationTimestamp"])
        status: Mapping[str, Any] = request.get("status") or {}
        limit = _DONE_SECONDS if status.get("conditions") else _WAITING_SECONDS
        return self._clock.now() - made > datetime.timedelta(seconds=limit)


def _subject(wish: x509.CertificateSigningRequest) -> tuple[str, list[str]]:
    name = [str(each.value) for each in wish.subject.get_attributes_for_oid(oid.NameOID.COMMON_NAME)]
    groups = [str(each.value) for each in wish.subject.get_attributes_for_oid(oid.NameOID.ORGANIZATION_NAME)]
    if len(name) != 1 or not name[0]:
        raise Refused("the subject needs one common name: it is the user's")
    return name[0], groups


def _condition(type_: str, reason: str, message: str, now: str) -> JsonObject:
    return {
        "type": type_, "status": "True", "reason": reason, "message": message,
        "lastUpdateTime": now, "lastTransitionTime": now,
    }  # fmt: skip


def _encode(request: JsonObject, revision: int) -> bytes:
    return msgspec.json.encode(request | {"metadata": request["metadata"] | {"resourceVersion": str(revision)}})
