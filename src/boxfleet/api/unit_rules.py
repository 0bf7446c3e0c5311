"""Rules for what a Box or a Unit says about one component."""

import copy
import dataclasses
import posixpath
from collections.abc import Collection, Mapping
from typing import Any

from boxfleet.api import (
    claim_rules,
    coupling,
    fact_rules,
    fields,
    kind,
    names,
    object_meta,
    placement_policy,
    pod_defaults,
    pod_rules,
)

# An instance's name is a host name.
_NAME_LIMIT = 63

Errors = list[kind.FieldError]
Json = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Which component is looked at, and what is known around it.

    `object_name` is the name of its Unit object (BOX-UNIT); `box` is empty for a Unit of its own; `peers` are all
    Units of the Box by name with the names of their ports, or None where only the Box could know.
    """

    name: str
    object_name: str
    box: str
    peers: Mapping[str, Collection[str]] | None


def validate(new: Json, old: Json | None) -> Errors:
    """A Unit as it is written. What other Units of its Box are like is for its controller to see."""
    spec = new.get("spec") or {}
    before = (old or {}).get("spec") or {}
    if old is not None and spec == before:
        return []
    box, object_name = spec.get("box", ""), new["metadata"].get("name", "")
    name = object_name.removeprefix(f"{box}-") if box else object_name
    peers = None if box else {name: port_names(spec)}
    errors = unit(spec, "spec", Subject(name=name, object_name=object_name, box=box, peers=peers))
    if old is not None and box != before.get("box", ""):
        errors.append(fields.forbidden("spec.box", "a Unit stays in its Box"))
    if box and not object_name.startswith(f"{box}-"):
        errors.append(fields.invalid("metadata.name", object_name, f"must begin with its Box: {box}-NAME"))
    return errors


def default(found: Json) -> None:
    """One instance.

    What a list holds is kept as it was written: `kubectl apply` compares whole lists of own kinds, and would find
    them changed each time. Defaults within them stand in the types and hold when they are read.
    """
    found.setdefault("replicas", 1)


def unit(found: Json, path: str, subject: Subject) -> Errors:
    """One component: its template as a Pod, its claims, files, variables and dependencies."""
    errors = _instance_names(found, path, subject)
    claims = [(claim.get("metadata") or {}).get("name", "") for claim in found.get("volumeClaimTemplates") or ()]
    errors += _claims(found, f"{path}.volumeClaimTemplates")
    errors += _template(found, f"{path}.template", claims)
    errors += _dependencies(found, f"{path}.dependsOn", subject)
    errors += _env(found, f"{path}.env")
    errors += _files(found, f"{path}.files")
    errors += coupling.validate(found, path)
    errors += placement_policy.validate(
        found.get("placement") or {}, f"{path}.placement", own=subject.name, peers=subject.peers if subject.box else ()
    )
    return errors + fact_rules.check(_sources(found, path), facts_of(found, subject))


def port_names(found: Json) -> list[str]:
    """The names of the ports of all containers of a component."""
    return [
        port["name"] for container in _containers(found) for port in container.get("ports") or () if port.get("name")
    ]


def facts_of(found: Json, subject: Subject) -> fact_rules.Known:
    """What the templates of a component may refer to."""
    return fact_rules.Known(own=subject.name, own_ports=port_names(found), boxed=bool(subject.box), peers=subject.peers)


def _containers(found: Json) -> list[Json]:
    return list(((found.get("template") or {}).get("spec") or {}).get("containers") or ())


def _sources(found: Json, path: str) -> dict[str, str]:
    """All templates of a component by their field."""
    sources = {f"{path}.env[{name}]": source for name, source in (found.get("env") or {}).items()}
    for index, file in enumerate(found.get("files") or ()):
        sources[f"{path}.files[{index}].content"] = file.get("content", "")
    return sources


def _instance_names(found: Json, path: str, subject: Subject) -> Errors:
    last = max(int(found.get("replicas", 1)) - 1, 0)
    longest = f"{subject.object_name}-{last}"
    if len(longest) <= _NAME_LIMIT:
        return []
    detail = (
        f"instances would be named up to {longest!r}, which has {len(longest)} characters: a host name has at most "
        f"{_NAME_LIMIT}, so shorten the name by {len(longest) - _NAME_LIMIT}"
    )
    return [fields.invalid(path if subject.box else "metadata.name", subject.name, detail)]


def _template(found: Json, path: str, claims: Collection[str]) -> Errors:
    template = found.get("template") or {}
    if not template.get("spec"):
        return [fields.required(f"{path}.spec", "describe the instance: at least spec.containers")]
    # Checked as the Pods that will be made from it; stored as it was written.
    filled = copy.deepcopy(template)
    pod_defaults.apply_spec(filled["spec"])
    errors = pod_rules.template(filled, path, claims=claims)
    if template["spec"].get("nodeName"):
        errors.append(fields.forbidden(f"{path}.spec.nodeName", "the scheduler chooses the node; use nodeSelector"))
    return errors


def _claims(found: Json, path: str) -> Errors:
    errors: Errors = []
    volumes = ((found.get("template") or {}).get("spec") or {}).get("volumes") or ()
    taken = {volume.get("name", "") for volume in volumes}
    seen: set[str] = set()
    for index, claim in enumerate(found.get("volumeClaimTemplates") or ()):
        at = f"{path}[{index}]"
        metadata = claim.get("metadata") or {}
        name = metadata.get("name", "")
        if not name:
            errors.append(fields.required(f"{at}.metadata.name", "containers mount the claim by this name"))
        elif fault := names.label(name):
            errors.append(fields.invalid(f"{at}.metadata.name", name, fault))
        elif name in seen:
            errors.append(fields.duplicate(f"{at}.metadata.name", name))
        elif name in taken:
            errors.append(
                fields.invalid(f"{at}.metadata.name", name, "is a volume of the template already: rename one of them")
            )
        seen.add(name)
        errors += object_meta.labels(f"{at}.metadata.labels", metadata.get("labels"))
        errors += claim_rules.spec(claim.get("spec") or {}, f"{at}.spec")
    return errors


def _dependencies(found: Json, path: str, subject: Subject) -> Errors:
    errors: Errors = []
    seen: set[str] = set()
    for index, dependency in enumerate(found.get("dependsOn") or ()):
        at, name = f"{path}[{index}].unit", dependency.get("unit", "")
        if not name:
            errors.append(fields.required(at))
        elif name == subject.name:
            errors.append(fields.invalid(at, name, "a Unit cannot wait for itself"))
        elif name in seen:
            errors.append(fields.duplicate(at, name))
        elif subject.peers is not None and name not in subject.peers:
            known = ", ".join(sorted(subject.peers))
            errors.append(fields.not_found(at, name, f"the Units of this Box are: {known}"))
        elif not subject.box:
            errors.append(fields.forbidden(at, "only Units of a Box can wait for each other"))
        seen.add(name)
    return errors


def _env(found: Json, path: str) -> Errors:
    return [fields.invalid(path, name, fault) for name in found.get("env") or {} if (fault := names.variable(name))]


def _files(found: Json, path: str) -> Errors:
    errors: Errors = []
    containers = _containers(found)
    known = [container.get("name", "") for container in containers]
    mounted = {
        (container.get("name", ""), posixpath.normpath(mount.get("mountPath") or "/"))
        for container in containers
        for mount in container.get("volumeMounts") or ()
    }
    taken: set[tuple[str, str]] = set()
    for index, file in enumerate(found.get("files") or ()):
        at, where = f"{path}[{index}]", file.get("path", "")
        if fault := _path_fault(where):
            errors.append(fields.invalid(f"{at}.path", where, fault))
        for place, name in enumerate(file.get("containers") or ()):
            if name not in known:
                listed = f"the containers are: {', '.join(known)}"
                errors.append(fields.not_found(f"{at}.containers[{place}]", name, listed))
        targets = {(name, where) for name in file.get("containers") or known}
        if targets & taken:
            errors.append(fields.duplicate(f"{at}.path", where))
        elif targets & mounted:
            errors.append(fields.invalid(f"{at}.path", where, "a volume is mounted there already"))
        taken |= targets
    return errors


def _path_fault(path: str) -> str | None:
    if not path.startswith("/"):
        return "must be an absolute path"
    if path == "/" or path.endswith("/") or posixpath.normpath(path) != path or path.startswith("//"):
        return "must be the path of a file without '..', '.' or doubled '/', for example /etc/app/app.conf"
    if ":" in path or "\0" in path:
        return "must not contain ':' or a zero byte"
    return None
