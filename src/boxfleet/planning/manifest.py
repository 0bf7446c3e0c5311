"""The standard objects that an instance is made of: its Pod, its files' ConfigMap and its claims."""

import copy
import posixpath
import re
from typing import Any

from boxfleet.api import config, coupling, labels, meta, unit
from boxfleet.kit import ids
from boxfleet.planning import facts

FILES_VOLUME = "boxfleet-files"
_NOT_IN_KEYS = re.compile(r"[^-._a-zA-Z0-9]")


def instance_name(subject: unit.Unit, ordinal: int) -> str:
    """The Pod's name, which never changes."""
    return f"{subject.metadata.name}-{ordinal}"


def files_name(instance: str) -> str:
    """The ConfigMap that holds an instance's rendered files."""
    return f"{instance}-files"


def claim_name(claim: str, instance: str) -> str:
    """The PersistentVolumeClaim of an instance for one claim template."""
    return f"{claim}-{instance}"


def revision(spec: unit.UnitTemplate) -> str:
    """Fingerprint of what makes a Pod what it is.

    The content of files is left out: it changes in place, without a new Pod.
    """
    parts: dict[str, Any] = {
        "template": spec.template,
        "env": spec.env,
        "files": [[file.path, file.mode, file.containers] for file in spec.files],
        "claims": [claim["metadata"]["name"] for claim in spec.volumeClaimTemplates],
    }
    if spec.provides or spec.consumes:
        # Only where it is said, so that what ran before this could be said does not become outdated.
        parts["shared"] = [meta.to_dict(each) for each in (*spec.provides, *spec.consumes)]
    return ids.fingerprint(parts)


def own_labels(subject: unit.Unit) -> dict[str, str]:
    """Labels of everything that is made for a Unit."""
    found = {labels.UNIT: subject.metadata.name}
    if subject.spec.box:
        found[labels.BOX] = subject.spec.box
    return found


def instance_labels(subject: unit.Unit, ordinal: int) -> dict[str, str]:
    """Labels of everything that is made for one instance."""
    return own_labels(subject) | {labels.ORDINAL: str(ordinal)}


def selector(subject: unit.Unit) -> str:
    """Label selector of the Unit's Pods, for the scale subresource."""
    return f"{labels.UNIT}={subject.metadata.name}"


def pod(
    subject: unit.Unit,
    *,
    ordinal: int,
    cluster: str,
    address: str,
    rendered: facts.Rendered,
    revision: str,
    scheduler: str = "",
) -> dict[str, Any]:
    """The whole Pod of one instance as JSON data; `address` is empty on the host's network.

    `scheduler` chooses its node, where that is not Boxfleet's own.
    """
    name = instance_name(subject, ordinal)
    template = copy.deepcopy(subject.spec.template)
    template_meta, spec = template.get("metadata") or {}, template.get("spec") or {}
    _add_env(spec, rendered)
    _add_files(spec, subject.spec, instance=name)
    _add_claims(spec, subject.spec, instance=name)
    _add_shared(spec, subject.spec)
    if scheduler:
        spec["schedulerName"] = scheduler
        # Where others run it, our API's tokens are of no use unless somebody arranged that they are.
        spec.setdefault("automountServiceAccountToken", False)
    annotations = dict(template_meta.get("annotations") or {})
    for key, value in (
        (labels.ADDRESS, address),
        (labels.ENV_HASH, rendered.env_hash),
        (labels.FILES_HASH, rendered.files_hash),
    ):
        if value:
            annotations[key] = value
    return {
        "metadata": {
            "name": name,
            "namespace": subject.metadata.namespace,
            "labels": (template_meta.get("labels") or {})
            | instance_labels(subject, ordinal)
            | {labels.REVISION: revision, labels.CLUSTER: cluster},
            "annotations": annotations,
            "ownerReferences": [meta.to_dict(meta.owner_of(subject))],
        },
        "spec": spec,
    }


def files(subject: unit.Unit, *, ordinal: int, rendered: facts.Rendered) -> config.ConfigMap | None:
    """The ConfigMap with an instance's rendered files, or None when it has none."""
    if not rendered.files:
        return None
    name = instance_name(subject, ordinal)
    return config.ConfigMap(
        metadata=meta.ObjectMeta(
            name=files_name(name),
            namespace=subject.metadata.namespace,
            labels=instance_labels(subject, ordinal),
            annotations={labels.FILES_HASH: rendered.files_hash},
            ownerReferences=[meta.owner_of(subject)],
        ),
        data={_file_key(path): content for path, content in rendered.files.items()},
    )


def claim_names(subject: unit.Unit, *, ordinal: int) -> list[str]:
    """The names of the claims of one instance."""
    name = instance_name(subject, ordinal)
    return [claim_name(template["metadata"]["name"], name) for template in subject.spec.volumeClaimTemplates]


def claims(subject: unit.Unit, *, ordinal: int) -> list[dict[str, Any]]:
    """The claims of one instance as JSON data."""
    name = instance_name(subject, ordinal)
    made = []
    for template in subject.spec.volumeClaimTemplates:
        claim = copy.deepcopy(template)
        template_meta = claim.get("metadata") or {}
        claim["metadata"] = {
            "name": claim_name(template_meta["name"], name),
            "namespace": subject.metadata.namespace,
            "labels": (template_meta.get("labels") or {}) | instance_labels(subject, ordinal),
            "annotations": template_meta.get("annotations") or {},
            "ownerReferences": [meta.to_dict(meta.owner_of(subject))],
        }
        claim.pop("status", None)
        made.append(claim)
    return made


def _containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]


def _add_env(spec: dict[str, Any], rendered: facts.Rendered) -> None:
    for container in _containers(spec):
        own = container.get("env") or []
        named = {variable["name"] for variable in own}
        # In front, so that the container's own values may refer to them as $(NAME).
        added = [{"name": name, "value": value} for name, value in rendered.env.items() if name not in named]
        if added:
            container["env"] = [*added, *own]


def _add_files(spec: dict[str, Any], wanted: unit.UnitTemplate, *, instance: str) -> None:
    if not wanted.files:
        return
    items = [{"key": _file_key(f.path), "path": _file_key(f.path), "mode": int(f.mode, 8)} for f in wanted.files]
    _put_volume(spec, {"name": FILES_VOLUME, "configMap": {"name": files_name(instance), "items": items}})
    for container in _containers(spec):
        mounts = [
            {"name": FILES_VOLUME, "mountPath": file.path, "subPath": _file_key(file.path), "readOnly": True}
            for file in wanted.files
            if not file.containers or container["name"] in file.containers
        ]
        if mounts:
            container["volumeMounts"] = [*(container.get("volumeMounts") or []), *mounts]


def _add_claims(spec: dict[str, Any], wanted: unit.UnitTemplate, *, instance: str) -> None:
    for claim in wanted.volumeClaimTemplates:
        name = claim["metadata"]["name"]
        _put_volume(spec, {"name": name, "persistentVolumeClaim": {"claimName": claim_name(name, instance)}})


def _add_shared(spec: dict[str, Any], wanted: unit.UnitTemplate) -> None:
    every: list[coupling.Provided | coupling.Consumed] = [*wanted.provides, *wanted.consumes]
    for each in every:
        said = {coupling.NAME: each.name, coupling.ROLE: coupling.CONSUMES}
        if isinstance(each, coupling.Provided):
            said |= {coupling.ROLE: coupling.PROVIDES, coupling.SIZE: each.size}
        if each.exclusive:
            said[coupling.EXCLUSIVE] = "true"
        volume = coupling.volume_name(each.name)
        _put_volume(spec, {"name": volume, "csi": {"driver": coupling.DRIVER, "volumeAttributes": said}})
        where, variable = coupling.path_of(each), coupling.variable(each.name)
        for container in _containers(spec):
            mount = {"name": volume, "mountPath": where}
            container["volumeMounts"] = [*(container.get("volumeMounts") or []), mount]
            own = container.get("env") or []
            if all(given["name"] != variable for given in own):
                container["env"] = [{"name": variable, "value": where}, *own]


def _put_volume(spec: dict[str, Any], volume: dict[str, Any]) -> None:
    others = [each for each in spec.get("volumes") or [] if each["name"] != volume["name"]]
    spec["volumes"] = [*others, volume]


def _file_key(path: str) -> str:
    """A ConfigMap key that tells people which file it is and is different for every path."""
    return f"{_NOT_IN_KEYS.sub('_', posixpath.basename(path))[:200]}-{ids.fingerprint(path, length=6)}"
