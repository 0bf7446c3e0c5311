"""Pods beside their ServiceAccounts: who a Pod is, and the token that it is given.

The rules are those of Kubernetes' ServiceAccount admission. One differs: a Namespace that is just made may not have
its account `default` yet, and its Pods are let in all the same; their start waits for the token.
"""

from typing import Any

from boxfleet.api import admission, kind, service_account, wellknown
from boxfleet.kit import ids

# Where programs look for it.
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_PREFIX = "kube-api-access-"
# Seconds: an hour, and a little by which it is told from what users write.
_SECONDS = 3607
_USUAL = "default"


def default(new: kind.JsonObject, old: kind.JsonObject | None, look: admission.Look) -> None:
    """Give a new Pod its account, and its containers a token. Raises admission.Refused without that account."""
    if old is not None:
        return
    spec, info = new.setdefault("spec", {}), new["metadata"]
    namespace = info.get("namespace", "")
    name = spec.get("serviceAccountName") or spec.get("serviceAccount") or _USUAL
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    account = look.find(service_account.ServiceAccount, name, namespace=namespace)
    if account is None and name != _USUAL:
        raise admission.Refused(
            f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
        )
    if _wants(spec, account):
        _mount(spec, suffix=ids.fingerprint([namespace, info.get("name", "")], length=5))


def _wants(spec: dict[str, Any], account: service_account.ServiceAccount | None) -> bool:
    own = spec.get("automountServiceAccountToken")
    if own is not None:
        return bool(own)
    usual = account.automountServiceAccountToken if account is not None else None
    return usual is None or usual


def _mount(spec: dict[str, Any], *, suffix: str) -> None:
    volumes = spec.get("volumes") or []
    known = {volume.get("name", "") for volume in volumes}
    # One that is there already is from an earlier admission of the same manifest.
    name = next((each for each in sorted(known) if each.startswith(_PREFIX)), _PREFIX + suffix)
    used = False
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        mounts = container.get("volumeMounts") or []
        if all(mount.get("mountPath") != MOUNT_PATH for mount in mounts):
            container["volumeMounts"] = [*mounts, {"name": name, "readOnly": True, "mountPath": MOUNT_PATH}]
            used = True
    if used and name not in known:
        spec["volumes"] = [*volumes, {"name": name, "projected": _projected()}]


def _projected() -> dict[str, Any]:
    field = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    root = {"name": wellknown.ROOT_CA, "items": [{"key": wellknown.ROOT_CA_KEY, "path": wellknown.ROOT_CA_KEY}]}
    return {
        "defaultMode": 0o644,
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": _SECONDS, "path": "token"}},
            {"configMap": root},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": field}]}},
        ],
    }
