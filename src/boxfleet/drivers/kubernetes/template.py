"""An order's Pod as a template of the cluster's own: what is Boxfleet's is taken out, what cannot be done is refused.

`generalized` goes further: it says of a Pod what is the same for all instances of a Unit, with Kubernetes' own means
for what differs by the instance's name.
"""

import copy
import dataclasses
import re
from typing import Any, Final

from boxfleet.api import coupling, labels
from boxfleet.drivers.kubernetes import names, settings
from boxfleet.planning import manifest
from boxfleet.ports import cluster

JsonObject = dict[str, Any]

# The variable that holds the Pod's own name.
_SELF: Final = "BOXFLEET_INSTANCE"
_REFERENCE: Final = f"$({_SELF})"
# What Boxfleet's own admission adds.
_TOKEN_VOLUME: Final = "kube-api-access-"  # noqa: S105  # a volume's name
# Said of Boxfleet's objects, or by its servers: nothing there knows them.
_OWN_FIELDS: Final = (
    "nodeName",
    "schedulerName",
    "serviceAccount",
    "serviceAccountName",
    "priority",
    "priorityClassName",
    "preemptionPolicy",
    "ephemeralContainers",
    "enableServiceLinks",
    "subdomain",
)
_OWN_PREFIX: Final = "boxfleet.dev/"
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
# Kubernetes' limit for a key of a ConfigMap.
_KEY_LIMIT: Final = 253
_DEFAULT_MODE: Final = 0o644


class Special(Exception):
    """What a Pod says cannot be said for all instances at once."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A Pod's labels, annotations and spec; for several, also the claims that each has of its own."""

    labels: dict[str, str]
    annotations: dict[str, str]
    spec: JsonObject
    claims: tuple[str, ...] = ()


def native(own: settings.Settings, share: cluster.Share, ordinal: int) -> Template:
    """The template of one instance. Raises Unsupported, with the field."""
    pod = share.orders[ordinal].pod
    spec = copy.deepcopy(pod["spec"])
    _refuse(spec)
    for field in _OWN_FIELDS:
        spec.pop(field, None)
    spec.setdefault("automountServiceAccountToken", False)
    spec["enableServiceLinks"] = False
    _drop_tokens(spec)
    metadata = pod["metadata"]
    kept = {name: text for name, text in (metadata.get("labels") or {}).items() if not name.startswith(_OWN_PREFIX)}
    if revision := revision_of(pod):
        kept[labels.REVISION] = revision
    said = {
        name: text
        for name, text in (metadata.get("annotations") or {}).items()
        if not name.startswith(_OWN_PREFIX) and name != _LAST_APPLIED
    }
    return Template(labels=kept | names.marks(own, share), annotations=said, spec=spec)


def generalized(template: Template, instance: str) -> Template:
    """The same for every instance whose Pod bears its own name; raises Special."""
    spec = copy.deepcopy(template.spec)
    modes, claims, volumes = {}, [], []
    for volume in spec.get("volumes") or []:
        name, claim = volume["name"], (volume.get("persistentVolumeClaim") or {}).get("claimName", "")
        if (volume.get("configMap") or {}).get("name") == manifest.files_name(instance):
            modes[name] = _modes(volume["configMap"], instance)
            volumes += [
                {"name": _by_mode(name, mode), "configMap": {"name": "", "defaultMode": mode}}
                for mode in sorted({mode for _, mode in modes[name].values()})
            ]
        elif claim == manifest.claim_name(name, instance):
            claims.append(name)
        else:
            volumes.append(volume)
    spec["volumes"] = volumes
    for container in _containers(spec):
        needed = _generalize_env(container, instance)
        for mount in container.get("volumeMounts") or []:
            if mount["name"] in modes:
                _generalize_mount(mount, modes[mount["name"]])
                needed = True
        if needed:
            variable = {"name": _SELF, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
            container["env"] = [variable, *(container.get("env") or [])]
    return dataclasses.replace(template, spec=spec, claims=tuple(sorted(claims)))


def with_files(template: Template, name: str) -> Template:
    """The ConfigMap that holds the files of all instances gets its name."""
    spec = copy.deepcopy(template.spec)
    for volume in spec.get("volumes") or []:
        if (volume.get("configMap") or {}).get("name") == "":
            volume["configMap"]["name"] = name
    return dataclasses.replace(template, spec=spec)


def file_key(instance: str, key: str) -> str:
    """The key of an instance's file among those of all; raises Special when it is too long."""
    found = f"{instance}.{key}"
    if len(found) > _KEY_LIMIT:
        raise Special(f"the file {key} has a name too long to be kept with those of all instances")
    return found


def revision_of(pod: JsonObject) -> str:
    """The revision of the Unit's template that a Pod was made from."""
    return str((pod["metadata"].get("labels") or {}).get(labels.REVISION, ""))


def runs_once(spec: JsonObject) -> bool:
    """Whether it is meant to run to its end."""
    return bool(spec.get("restartPolicy", "Always") != "Always")


def _refuse(spec: JsonObject) -> None:
    for number, volume in enumerate(spec.get("volumes") or []):
        if volume["name"].startswith(_TOKEN_VOLUME):
            continue
        if (volume.get("csi") or {}).get("driver") == coupling.DRIVER:
            raise cluster.Unsupported(
                f"spec.volumes[{number}].csi: Kubernetes lets Pods share no memory, and has no driver "
                f"{coupling.DRIVER}: use a cluster of hosts"
            )
        for place, source in enumerate((volume.get("projected") or {}).get("sources") or []):
            if "serviceAccountToken" in source:
                raise cluster.Unsupported(
                    f"spec.volumes[{number}].projected.sources[{place}].serviceAccountToken: the token would be the "
                    "cluster's own and not Boxfleet's; give the instance a Secret with a token instead"
                )
    if spec.get("hostname"):
        raise cluster.Unsupported("spec.hostname: a StatefulSet names its hosts itself; leave it out")
    if spec.get("activeDeadlineSeconds") is not None and not runs_once(spec):
        raise cluster.Unsupported("spec.activeDeadlineSeconds: only with restartPolicy OnFailure or Never")


def _drop_tokens(spec: JsonObject) -> None:
    volumes = spec.get("volumes") or []
    dropped = {each["name"] for each in volumes if each["name"].startswith(_TOKEN_VOLUME) and "projected" in each}
    if not dropped:
        return
    spec["volumes"] = [each for each in volumes if each["name"] not in dropped]
    for container in _containers(spec):
        if mounts := container.get("volumeMounts"):
            container["volumeMounts"] = [each for each in mounts if each["name"] not in dropped]


def _containers(spec: JsonObject) -> list[JsonObject]:
    return [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]


def _generalize_env(container: JsonObject, instance: str) -> bool:
    found = False
    # A reference that a "$" stands before would be escaped by it; another digit makes it another instance's name.
    own = re.compile(rf"(?<!\$){re.escape(instance)}(?!\d)")
    for variable in container.get("env") or []:
        if isinstance(text := variable.get("value"), str):
            variable["value"], times = own.subn(_REFERENCE, text)
            found = found or times > 0
    return found


def _modes(source: JsonObject, instance: str) -> dict[str, tuple[str, int]]:
    """Key and mode of each file, by its path in the volume."""
    usual = source.get("defaultMode", _DEFAULT_MODE)
    found = {each["path"]: (each["key"], each.get("mode", usual)) for each in source.get("items") or []}
    if not found:
        raise Special("the volume of its files does not name them")
    for key, _ in found.values():
        file_key(instance, key)
    return found


def _by_mode(volume: str, mode: int) -> str:
    return f"{volume}-{mode:o}"


def _generalize_mount(mount: JsonObject, modes: dict[str, tuple[str, int]]) -> None:
    known = modes.get(mount.get("subPath", ""))
    if known is None:
        raise Special(f"{mount['mountPath']} is not one file")
    key, mode = known
    mount.pop("subPath")
    mount["name"] = _by_mode(mount["name"], mode)
    mount["subPathExpr"] = f"{_REFERENCE}.{key}"
