"""Users by client certificates: the common name is the user, each organization a group, as in Kubernetes.

TLS has checked the chain. A node's certificate names the uid of its Node as a URI, and dies with it.
"""

import hashlib

from cryptography import x509
from cryptography.x509 import oid

from boxfleet.api import node
from boxfleet.apiserver import authn, authz, faults, registry
from boxfleet.apiserver.identity import decisions
from boxfleet.kit import clock as clocks
from boxfleet.store import store as stores

_UID = "urn:uuid:"


def uid_uri(uid: str) -> str:
    """How a node's certificate names its Node."""
    return _UID + uid


class CertificateUsers:
    """Implements authn.Authenticator. What is known of a connection's certificate is kept with it."""

    def __init__(self, store: stores.Store, *, clock: clocks.Clock) -> None:
        self._known = decisions.Decisions(store, clock=clock)
        self._clock = clock

    async def authenticate(self, shown: authn.Shown) -> authn.User | None:
        """The subject of the certificate, while it is valid and its Node is there; Fault 401 when that is gone."""
        certificate = shown.certificate
        if certificate is None:
            return None
        decision = self._known.find(certificate.fingerprint)
        if decision is None:
            decision = _read(certificate.der)
            if decision is None:
                return None
            if not self._known.keep(certificate.fingerprint, decision):
                if decision.bonds and not shown.token and (decision.expires or 0) > self._clock.now().timestamp():
                    # Its agent acts on this, so it must not be taken for a certificate that is too old.
                    raise faults.unauthorized(node.GONE)
                return None
        return decision.user


def _read(der: bytes) -> decisions.Decision | None:
    try:
        certificate = x509.load_der_x509_certificate(der)
        name = _of(certificate.subject, oid.NameOID.COMMON_NAME)
        groups = _of(certificate.subject, oid.NameOID.ORGANIZATION_NAME)
        uris = _uris(certificate)
    except ValueError:
        return None
    if len(name) != 1 or not name[0]:
        return None
    user = authn.with_implied_groups(
        authn.User(
            name=name[0],
            groups=tuple(groups),
            extra=(("authentication.kubernetes.io/credential-id", (f"X509SHA256={hashlib.sha256(der).hexdigest()}",)),),
        )
    )
    bonds = []
    if host := authz.node_of(user):
        uid = next((each.removeprefix(_UID) for each in uris if each.startswith(_UID)), "")
        bonds.append(decisions.Bond(key=registry.key(node.Node.KIND, namespace="", name=host), uid=uid))
    return decisions.Decision(
        user=user,
        audiences=frozenset(),
        expires=int(certificate.not_valid_after_utc.timestamp()),
        bonds=bonds,
    )


def _of(subject: x509.Name, what: x509.ObjectIdentifier) -> list[str]:
    return [str(each.value) for each in subject.get_attributes_for_oid(what)]


def _uris(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)
