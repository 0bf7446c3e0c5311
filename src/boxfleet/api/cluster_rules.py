"""What a Cluster must say."""

from boxfleet.api import fields, kind, rebalance, taints

# The part of the spec that says how a place of that type is driven.
_ACCESS = {"kubernetes": "kubernetes", "docker": "docker"}


def validate(new: kind.JsonObject, old: kind.JsonObject | None) -> list[kind.FieldError]:
    """Check a Cluster as JSON data."""
    spec, before = new.get("spec") or {}, (old or {}).get("spec") or {}
    own = spec.get("type")
    if old is not None and own != before.get("type"):
        return [fields.forbidden("spec.type", "cannot be changed: make another Cluster")]
    errors = [
        fields.forbidden(f"spec.{access}", f"is for clusters of type {type}, and this one is of type {own}")
        for type, access in _ACCESS.items()
        if spec.get(access) is not None and own != type
    ]
    credentials = (spec.get("credentials") or {}).get("secret")
    host = (spec.get("docker") or {}).get("host", "")
    if own == "kubernetes" and not credentials:
        errors.append(fields.required("spec.credentials.secret", "the Secret with its kubeconfig"))
    if own == "docker" and not host:
        errors.append(fields.required("spec.docker.host", "such as unix:///var/run/docker.sock"))
    if host.startswith("tcp://") and not credentials:
        detail = "an engine that listens on the network is root for everybody who reaches it: use TLS"
        errors.append(fields.required("spec.credentials.secret", detail))
    errors += rebalance.validate(spec.get("rebalance") or {}, "spec.rebalance")
    if own != "hosts" and (spec.get("rebalance") or {}).get("mode", "Off") != "Off":
        detail = "is for clusters of type hosts: others have their own"
        errors.append(fields.forbidden("spec.rebalance.mode", detail))
    return errors + taints.taints(spec.get("taints") or (), "spec.taints")
