"""CertificateSigningRequest: somebody asks for a client certificate, somebody approves, the server signs."""

import base64
import binascii
import datetime
from typing import Any, ClassVar

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from boxfleet.api import cells, fields, kind, meta

GROUP = "certificates.k8s.io"
# What a signed certificate is good for, as Kubernetes' own signers have it.
CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client"
NODE_SIGNER = "kubernetes.io/kube-apiserver-client-kubelet"
SHORTEST_SECONDS = 600
_LONGEST_REQUEST = 64 * 1024


def read(text: str) -> x509.CertificateSigningRequest:
    """The PKCS #10 request in `spec.request` (base64 of PEM); raises ValueError that says what is wrong."""
    try:
        request = x509.load_pem_x509_csr(base64.b64decode(text, validate=True))
        valid = request.is_signature_valid
        key = request.public_key()
    except binascii.Error:
        raise ValueError("must be base64 of a certificate request in PEM") from None
    except Exception as error:
        # The library raises errors of many classes about bytes that anybody may send.
        raise ValueError(f"PEM block type must be CERTIFICATE REQUEST: {error}") from None
    if not valid:
        raise ValueError("the request is not signed with its own key")
    if isinstance(key, rsa.RSAPublicKey):
        if not 2048 <= key.key_size <= 8192:
            raise ValueError("an RSA key must have 2048 to 8192 bits")
    elif not isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        raise ValueError("the key must be of RSA, ECDSA or Ed25519")
    return request


def _validate(new: kind.JsonObject, old: kind.JsonObject | None) -> list[kind.FieldError]:
    if old is not None:
        return _condition_errors(new)
    spec = new.get("spec") or {}
    found = []
    text = spec.get("request") or ""
    if len(text) > _LONGEST_REQUEST:
        found.append(fields.too_long("spec.request", _LONGEST_REQUEST, "characters"))
    else:
        try:
            read(text)
        except ValueError as error:
            found.append(fields.invalid_hidden("spec.request", str(error)))
    signer = spec.get("signerName") or ""
    if not signer:
        found.append(fields.required("spec.signerName"))
    elif signer == "kubernetes.io/legacy-unknown":
        found.append(
            fields.invalid("spec.signerName", signer, "the legacy signerName is not allowed via this API version")
        )
    elif not all(signer.partition("/")) or "." not in signer.partition("/")[0]:
        found.append(
            fields.invalid(
                "spec.signerName", signer, "must be a fully qualified domain and path of the form domain/name"
            )
        )
    usages = spec.get("usages") or []
    if not usages:
        found.append(fields.required("spec.usages", "usages must be provided"))
    found += [fields.duplicate(f"spec.usages[{at}]", each) for at, each in enumerate(usages) if each in usages[:at]]
    found += fields.between("spec.expirationSeconds", spec.get("expirationSeconds"), SHORTEST_SECONDS)
    return found


def _condition_errors(new: kind.JsonObject) -> list[kind.FieldError]:
    conditions = (new.get("status") or {}).get("conditions") or []
    found = []
    for at, each in enumerate(conditions):
        if each.get("type") in ("Approved", "Denied", "Failed") and each.get("status") != "True":
            found.append(fields.not_supported(f"status.conditions[{at}].status", each.get("status"), ["True"]))
    types = {each.get("type") for each in conditions}
    if {"Approved", "Denied"} <= types:
        found.append(fields.forbidden("status.conditions", "Approved and Denied conditions are mutually exclusive"))
    return found


def _condition(obj: kind.JsonObject, now: datetime.datetime) -> str:
    status = obj.get("status") or {}
    types = [each.get("type") for each in status.get("conditions") or []]
    words = [each for each in ("Approved", "Denied", "Failed") if each in types] or ["Pending"]
    return ",".join([*words, *(["Issued"] if status.get("certificate") else [])])


def _duration(obj: kind.JsonObject, now: datetime.datetime) -> str:
    seconds: Any = (obj.get("spec") or {}).get("expirationSeconds")
    return cells.duration(seconds) if isinstance(seconds, int) else cells.NONE


class RequestSpec(meta.Model):
    """What is asked for."""

    request: str = ""
    signerName: str = ""
    usages: list[str] = []


class RequestCondition(meta.Model):
    """What became of it."""

    type: str = ""
    reason: str = ""
    message: str = ""


class RequestStatus(meta.Model):
    """The answer; the certificate is base64 of PEM."""

    conditions: list[RequestCondition] = []
    certificate: str = ""


class CertificateSigningRequest(meta.Object, kw_only=True):
    """A wish for a certificate."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group=GROUP,
        version="v1",
        kind="CertificateSigningRequest",
        plural="certificatesigningrequests",
        singular="certificatesigningrequest",
        short_names=("csr",),
        namespaced=False,
        model="certificates_v1.CertificateSigningRequest",
        selectable=("spec.signerName",),
        columns=(
            cells.AGE,
            kind.Column(name="SignerName", path=".spec.signerName", description="Who is to sign."),
            kind.Column(name="Requestor", path=".spec.username", description="Who asked."),
            kind.Column(name="RequestedDuration", cell=_duration, description="For how long."),
            kind.Column(name="Condition", cell=_condition, description="What became of it."),
        ),
        validate=_validate,
        strategic=True,
    )

    spec: RequestSpec = msgspec.field(default_factory=RequestSpec)
    status: RequestStatus = msgspec.field(default_factory=RequestStatus)
