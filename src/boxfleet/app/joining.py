"""How an agent gets its client certificate: with a token the first time, by itself ever after.

The key never leaves the machine. An agent begins anew with a new certificate, as the server does; instances go on.

A certificate ends with its Node. Like a kubelet, an agent makes itself a Node when it starts, so a Node that somebody
deletes stays away; where the Node went while no server answered, the store is another one, and the agent begins anew.
"""

import asyncio
import base64
import datetime
import pathlib
from collections.abc import Callable

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from boxfleet.api import certificate_request, meta, node
from boxfleet.app import credentials, paths, settings
from boxfleet.client import client, contact, errors, http, servers
from boxfleet.kit import backoff, durable, ids
from boxfleet.kit import clock as clocks

log = structlog.get_logger()

# At which part of its life a certificate is renewed.
_RENEW_AT = 0.8
# Seconds between looks for the answer, and until another request is made.
_LOOK = 0.1
_PATIENCE = 30.0
_RETRY = backoff.Backoff(initial=0.2, limit=10.0)
_TOLD_AGAIN = 20
_MONTH = 30 * 86400.0
# Seconds after which an agent gives its instances up whose Node was deleted: before the server removes their Pods (40),
# so that none runs here that was begun anew elsewhere.
_LEAVE = 30.0


class Refused(Exception):
    """The server does not give a certificate; the text says why."""


class Joining:
    """Looks after one agent's certificate."""

    def __init__(self, known: settings.Agent, *, through: servers.Servers, clock: clocks.Clock) -> None:
        self._known = known
        self._servers = through
        self._where = paths.of(known)
        self._clock = clock
        self._contact = contact.Contact()

    @property
    def pair(self) -> pathlib.Path:
        """The certificate with its key, as PEM."""
        return self._where.agent_certificate

    def api(self) -> client.Client:
        """The API as the node."""
        transport = http.Http(
            self._servers,
            authority=self._where.ca_certificate,
            certificate=self.pair,
            contact=self._contact,
            program="boxfleet-agent",
        )
        return client.Client(transport)

    async def obtain(self) -> None:
        """Get a certificate now, unless there is one that is good for a while. Raises ApiError, Refused and OSError."""
        if self._due() <= self._clock.now():
            await self._renew()

    async def ensure(self) -> None:
        """Return with a certificate that is good for a while; tries until there is one."""
        failures = 0
        while self._due() <= self._clock.now():
            try:
                await self._renew()
                return
            except (errors.ApiError, Refused, OSError) as error:
                if self._is_usable():
                    # The old one serves for now.
                    log.warning("the certificate cannot be renewed yet", cause=str(error))
                    return
                if failures % _TOLD_AGAIN == 0:
                    log.warning("cannot join; trying again", server=self._servers.present, cause=str(error))
                failures += 1
            await self._clock.sleep(_RETRY.delay(failures=failures))

    async def keep(self, stop: asyncio.Event, *, leave: Callable[[], None]) -> None:
        """Begin anew when the certificate was renewed, or its Node went while no server answered.

        When somebody deletes the Node, `leave` is called a while later; all else waits for the agent's next start.
        """
        while True:
            left = (self._due() - self._clock.now()).total_seconds()
            try:
                # Long waits are cut up: a machine that slept has an older certificate than it thinks.
                async with asyncio.timeout(min(max(left, 60.0), _MONTH)):
                    await self._contact.until_refused()
            except TimeoutError:
                if self._due() > self._clock.now():
                    continue
            else:
                if not await self._is_gone(leave):
                    continue
                log.warning("the server has another store, and this Node is not in it: joining anew")
                self.pair.unlink(missing_ok=True)
                break
            try:
                await self._renew()
                log.info("the certificate is new: starting again with it")
                break
            except (errors.ApiError, Refused, OSError) as error:
                log.warning("cannot renew the certificate; trying again", cause=str(error))
        stop.set()

    async def _is_gone(self, leave: Callable[[], None]) -> bool:
        """Whether to join anew; does not return when the Node was deleted and stays so."""
        if self._contact.refused != node.GONE:
            log.warning("the server does not know this agent; trying on", cause=self._contact.refused)
            return False
        if self._contact.after_silence:
            return True
        log.warning(
            "this Node was deleted: no instance is started here, and those that run are stopped soon",
            seconds=_LEAVE,
            remedy="to have the Node again, restart the agent: boxfleet up; other hosts: boxfleet node token",
        )
        await self._clock.sleep(_LEAVE)
        if self._contact.refused != node.GONE:
            return False
        leave()
        # Not even a server that begins anew brings it back.
        await asyncio.Event().wait()
        return False

    def _certificate(self) -> x509.Certificate | None:
        try:
            return x509.load_pem_x509_certificate(self.pair.read_bytes())
        except (FileNotFoundError, ValueError):
            return None

    def _is_usable(self) -> bool:
        known = self._certificate()
        return known is not None and known.not_valid_after_utc > self._clock.now()

    def _due(self) -> datetime.datetime:
        """When the certificate is to be renewed: at once if there is none, or the authority is a new one."""
        known = self._certificate()
        authorities = x509.load_pem_x509_certificates(self._where.ca_certificate.read_bytes())
        subject = credentials.NODE_PREFIX + self._known.node
        names = known.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME) if known is not None else []
        if known is None or known.issuer != authorities[-1].subject or [each.value for each in names] != [subject]:
            return datetime.datetime.min.replace(tzinfo=datetime.UTC)
        return known.not_valid_before_utc + _RENEW_AT * (known.not_valid_after_utc - known.not_valid_before_utc)

    async def _renew(self) -> None:
        """Ask with the certificate that there is, else with the token."""
        if self._is_usable():
            transport = http.Http(self._servers, authority=self._where.ca_certificate, certificate=self.pair)
        else:
            token = self._where.agent_token.read_text().strip()
            transport = http.Http(self._servers, authority=self._where.ca_certificate, token=token)
        api = client.Client(transport)
        try:
            key = ec.generate_private_key(ec.SECP256R1())
            signed = await self._asked(api, key)
        except errors.ApiError as error:
            if error.code == 401 and self._is_usable():
                self.pair.unlink(missing_ok=True)
            raise
        finally:
            await api.close()
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        durable.write(self.pair, signed + pem, mode=0o600)

    async def _asked(self, api: client.Client, key: ec.EllipticCurvePrivateKey) -> bytes:
        request = await api.create(
            certificate_request.CertificateSigningRequest(
                metadata=meta.ObjectMeta(name=f"node-csr-{ids.name_suffix(length=12)}"),
                spec=certificate_request.RequestSpec(
                    request=base64.b64encode(self._wish(key)).decode(),
                    signerName=certificate_request.NODE_SIGNER,
                    usages=["client auth", "digital signature"],
                ),
            )
        )
        end = self._clock.monotonic() + _PATIENCE
        while self._clock.monotonic() < end:
            status = request.status
            if status.certificate:
                return base64.b64decode(status.certificate)
            for each in status.conditions:
                if each.type in ("Denied", "Failed"):
                    raise Refused(each.message or each.reason)
            await self._clock.sleep(_LOOK)
            request = await api.get(certificate_request.CertificateSigningRequest, request.metadata.name)
        raise Refused(f"nobody has signed the request {request.metadata.name}: kubectl certificate approve does")

    def _wish(self, key: ec.EllipticCurvePrivateKey) -> bytes:
        subject = x509.Name(
            [
                *(x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, each) for each in credentials.NODE_GROUPS),
                x509.NameAttribute(x509.NameOID.COMMON_NAME, credentials.NODE_PREFIX + self._known.node),
            ]
        )
        request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
        return request.public_bytes(serialization.Encoding.PEM)
