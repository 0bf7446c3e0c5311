"""What a CertificateSigningRequest says of its maker, and what may not be asked for: as Kubernetes' admission does."""

from typing import Any

from boxfleet.api import certificate_request
from boxfleet.api import kind as kinds
from boxfleet.apiserver import authn, authz, faults

JsonObject = dict[str, Any]
KIND = certificate_request.CertificateSigningRequest.KIND


def stamp(user: authn.User, kind: kinds.Kind, new: JsonObject, old: JsonObject | None) -> None:
    """Write down who asks, whatever the request says; what was asked for stays so. Raises Fault 403."""
    if kind.qualified != KIND.qualified:
        return
    if old is not None:
        new["spec"] = old["spec"]
        return
    spec = new["spec"]
    for field in ("username", "uid", "groups", "extra"):
        spec.pop(field, None)
    spec["username"] = user.name
    if user.uid:
        spec["uid"] = user.uid
    spec["groups"] = list(user.groups)
    if user.extra:
        spec["extra"] = {key: list(values) for key, values in user.extra}
    if spec["signerName"] == certificate_request.CLIENT_SIGNER:
        subject = certificate_request.read(spec["request"]).subject
        if any(each.value == authz.MASTERS for each in subject):
            cause = f"use of {certificate_request.CLIENT_SIGNER} signer with {authz.MASTERS} group is not allowed"
            raise faults.forbidden(kind, new["metadata"].get("name", ""), cause)
