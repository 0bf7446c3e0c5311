"""An own certification authority, the server's certificate, and certificates of clients.

Keys are P-256. The authority lives ten years; the server's certificate one, and is made anew when less than a quarter
of that is left, when its names change, or when the authority does.

A rotation has two steps. Between them ``ca.crt`` holds both authorities: clients learn the new one, which signs them
already, while the server still shows a certificate of the old one. Afterwards the old one counts no more.
"""

import datetime
import ipaddress
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import oid

from boxfleet.kit import clock as clocks
from boxfleet.kit import durable

AUTHORITY_LIFE = datetime.timedelta(days=3650)
SERVER_LIFE = datetime.timedelta(days=365)
RENEW_BEFORE = datetime.timedelta(days=90)
# Clocks of clients may be behind ours.
_SKEW = datetime.timedelta(hours=1)
_CLIENT_SKEW = datetime.timedelta(minutes=5)
_KEY, _NEXT_KEY, _BUNDLE = "ca.key", "ca-next.key", "ca.crt"


class PkiError(Exception):
    """Keys or certificates on disk cannot be used."""


def ensure(folder: pathlib.Path, *, names: list[str], now: datetime.datetime) -> bool:
    """Make or renew what is missing or near its end in the folder; whether the server's certificate is new.

    `names` are DNS names and IP addresses of the server. Harmless when repeated, also after a crash in the middle.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    authority_key = _key(folder / _KEY)
    next_key = _key(folder / _NEXT_KEY) if (folder / _NEXT_KEY).exists() else None
    known = _certificates(folder / _BUNDLE)
    authority = _authority(authority_key, known, now)
    bundle = [authority] if next_key is None else [authority, _authority(next_key, known, now)]
    if bundle != known:
        _save(folder / _BUNDLE, *bundle)
    key = _key(folder / "server.key")
    certificate = _certificate(folder / "server.crt")
    if (
        certificate is not None
        and certificate.public_key() == key.public_key()
        and not _ends_soon(certificate, now)
        and names_of(certificate) == set(names)
        and _is_signed_by(certificate, authority)
    ):
        return False
    _save(folder / "server.crt", _make_server(key, authority_key, authority, names, now))
    return True


def begin_rotation(folder: pathlib.Path) -> bool:
    """Begin with a new authority beside the old one; False when that was done already. `ensure` does the rest."""
    if (folder / _NEXT_KEY).exists():
        return False
    _key(folder / _NEXT_KEY)
    return True


def finish_rotation(folder: pathlib.Path) -> bool:
    """Put the new authority in place of the old one; False when there is none. `ensure` does the rest."""
    if not (folder / _NEXT_KEY).exists():
        return False
    (folder / _NEXT_KEY).replace(folder / _KEY)
    durable.sync_folder(folder)
    return True


class ClientAuthority:
    """Signs certificates of clients. Raises PkiError when its files cannot be used."""

    def __init__(self, folder: pathlib.Path, *, clock: clocks.Clock) -> None:
        self._clock = clock
        self._key = _key(folder / (_NEXT_KEY if (folder / _NEXT_KEY).exists() else _KEY))
        found = [each for each in _certificates(folder / _BUNDLE) if each.public_key() == self._key.public_key()]
        if not found:
            raise PkiError(f"{folder / _BUNDLE} does not hold the certificate of the authority's key: run boxfleet up")
        self._certificate = found[0]

    def sign_client(
        self, request: x509.CertificateSigningRequest, *, subject: x509.Name, uris: list[str], seconds: int
    ) -> bytes:
        """A certificate of the request's key, as PEM."""
        now = self._clock.now()
        end = min(now + datetime.timedelta(seconds=seconds), self._certificate.not_valid_after_utc)
        usage = x509.KeyUsage(
            digital_signature=True, content_commitment=False, key_encipherment=True, data_encipherment=False,
            key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._certificate.subject)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _CLIENT_SKEW)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.ExtendedKeyUsage([oid.ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if uris:
            names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def names_of(certificate: x509.Certificate) -> set[str]:
    """The DNS names and addresses that a certificate speaks for."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in names}


def _authority(
    key: ec.EllipticCurvePrivateKey, known: list[x509.Certificate], now: datetime.datetime
) -> x509.Certificate:
    """The authority's certificate among those that are there, else a new one."""
    for each in known:
        if each.public_key() == key.public_key() and not _ends_soon(each, now):
            return each
    return _make_authority(key, now)


def _ends_soon(certificate: x509.Certificate, now: datetime.datetime) -> bool:
    return certificate.not_valid_after_utc - now < RENEW_BEFORE


def _is_signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except Exception:  # it raises InvalidSignature, ValueError or TypeError, each meaning no
        return False
    return True


def _make_authority(key: ec.EllipticCurvePrivateKey, now: datetime.datetime) -> x509.Certificate:
    # The name tells two authorities apart, so that clients say "unknown authority" and not "bad signature".
    digest = hashes.Hash(hashes.SHA256())
    digest.update(
        key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    name = x509.Name([x509.NameAttribute(oid.NameOID.COMMON_NAME, f"Boxfleet {digest.finalize().hex()[:8]}")])
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _make_server(
    key: ec.EllipticCurvePrivateKey,
    authority_key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    names: list[str],
    now: datetime.datetime,
) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(oid.NameOID.COMMON_NAME, "boxfleet server")]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(min(now + SERVER_LIFE, authority.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key(path: pathlib.Path) -> ec.EllipticCurvePrivateKey:
    """The key at the path, made when there is none."""
    try:
        loaded = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        key = ec.generate_private_key(ec.SECP256R1())
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        durable.write(path, text, mode=0o600)
        return key
    except ValueError:
        raise PkiError(
            f"{path} is not a private key; bring it back from a backup, or move it away for a new one"
        ) from None
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        raise PkiError(f"{path} is not an elliptic curve key; move it away for a new one")
    return loaded


def _certificate(path: pathlib.Path) -> x509.Certificate | None:
    """The certificate at the path; none when it is missing or unreadable, since a new one does no harm."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _certificates(path: pathlib.Path) -> list[x509.Certificate]:
    """All certificates at the path; those that are unreadable are as good as missing."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return []


def _save(path: pathlib.Path, *certificates: x509.Certificate) -> None:
    durable.write(path, b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates))
