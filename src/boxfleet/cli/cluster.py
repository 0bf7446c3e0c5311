"""``boxfleet cluster ...`` and ``boxfleet why``: places that run instances, and which of them runs what."""

import asyncio
import base64
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import yaml

from boxfleet.api import cluster, meta, names, wellknown
from boxfleet.app import access, clusters, settings, why, yaml_files
from boxfleet.cli import faults, options, output
from boxfleet.client import client, errors
from boxfleet.drivers.kubernetes import rbac
from boxfleet.planning import resources
from boxfleet.ports import cluster as ports

# Seconds that `remove` waits unless told otherwise, and between looks.
_LOOK = 0.5
_TLS_FILES = ("ca.crt", "tls.crt", "tls.key")


def join_kubernetes(
    known: settings.All,
    *,
    name: str,
    kubeconfig: str,
    context: str,
    spec: Mapping[str, Any],
    words: Sequence[str],
    dry_run: bool,
    force: bool,
    form: options.Format,
    via: str | None,
) -> int:
    """Join a Kubernetes cluster by its kubeconfig."""
    text, chosen = _one_context(_read(pathlib.Path(kubeconfig)), context, where=kubeconfig)
    wanted = _wanted(
        name or _as_name(chosen), {"type": "kubernetes", **spec}, words, keys={clusters.KUBECONFIG: text.encode()}
    )
    return _join(known, wanted, dry_run=dry_run, force=force, form=form, via=via)


def join_docker(
    known: settings.All,
    *,
    name: str,
    certificates: str,
    spec: Mapping[str, Any],
    words: Sequence[str],
    dry_run: bool,
    force: bool,
    form: options.Format,
    via: str | None,
) -> int:
    """Join a Docker engine or Swarm."""
    host = str(spec["docker"]["host"])
    if not host.startswith(("unix:///", "tcp://")):
        raise faults.CommandFailed(f"--host {host}: write it as unix:///var/run/docker.sock or tcp://HOST:2376")
    if host.startswith("tcp://") and not certificates:
        raise faults.CommandFailed(
            "an engine over the network takes --certificates, the folder of its ca.pem, cert.pem and key.pem: "
            "without TLS it gives everybody root, and is not used"
        )
    keys: dict[str, bytes] = {}
    if certificates:
        # Docker's own names first: a DOCKER_CERT_PATH can be given as it is.
        folder = pathlib.Path(certificates)
        for key, other in zip(_TLS_FILES, ("ca.pem", "cert.pem", "key.pem"), strict=True):
            path = folder / other if (folder / other).exists() else folder / key
            keys[key] = _read(path).encode()
    return _join(
        known,
        _wanted(name, {"type": "docker", **spec}, words, keys=keys),
        dry_run=dry_run,
        force=force,
        form=form,
        via=via,
    )


def show_all(known: settings.All, form: options.Format, *, kubeconfig: str | None = None) -> int:
    """Print all Clusters."""

    async def work() -> list[cluster.Cluster]:
        async with access.way(known, kubeconfig) as api:
            return (await api.list(cluster.Cluster)).items

    found = sorted(asyncio.run(work()), key=lambda each: each.metadata.name)
    if form is not options.Format.TEXT:
        output.data(found, form)
        return 0
    head = ("NAME", "TYPE", "VERSION", "NODES", "CPU", "MEMORY", "LATENCY", "COST", "STATE", "LABELS")
    for line in output.columns([head, *(_row(each) for each in found)]):
        output.say(line)
    return 0


def mark(known: settings.All, name: str, *, unschedulable: bool, kubeconfig: str | None = None) -> int:
    """Place nothing new on a Cluster, or do so again."""

    async def work() -> None:
        async with access.way(known, kubeconfig) as api:
            await api.patch(cluster.Cluster, name, {"spec": {"unschedulable": unschedulable}})

    asyncio.run(work())
    output.say(f"cluster {name} {'cordoned' if unschedulable else 'uncordoned'}")
    return 0


def remove(known: settings.All, name: str, *, policy: str, timeout: int, kubeconfig: str | None = None) -> int:
    """Give a Cluster up and wait until its instances are elsewhere."""
    if name == wellknown.CLUSTER:
        raise faults.CommandFailed(
            f"cluster {name} is that of the hosts with an agent, and comes with Boxfleet: "
            "`boxfleet node remove` takes hosts away, `boxfleet cluster cordon` keeps new instances off"
        )

    async def work() -> None:
        async with access.way(known, kubeconfig) as api:
            await clusters.remove(api, name, policy=policy)
            said = ""
            try:
                async with asyncio.timeout(timeout):
                    while await api.find(cluster.Cluster, name) is not None:
                        left = await clusters.instances_on(api, name)
                        told = f"{left} instances are still there" if left else "its objects are being taken away"
                        if told != said:
                            output.say(told)
                            said = told
                        await asyncio.sleep(_LOOK)
            except TimeoutError:
                raise faults.CommandFailed(await _why_still_there(api, name, timeout)) from None
            await clusters.forget_keys(api, name)

    asyncio.run(work())
    output.say(f"cluster {name} removed")
    return 0


async def _why_still_there(api: client.Client, name: str, timeout: int) -> str:
    said = [f"cluster {name} is still there after {timeout} s"]
    if left := await clusters.instances_on(api, name):
        said.append(f"it goes when others have taken its {left} instances: `boxfleet why UNIT` says what is in the way")
    found = await api.find(cluster.Cluster, name)
    ready = meta.find_condition(found.status.conditions, "Ready") if found is not None else None
    if ready is not None and ready.status != "True":
        said.append(f"it was last heard of as {ready.reason}: {ready.message}")
    return "; ".join(said)


def print_rbac(*, namespace: str, kubelet_summaries: bool) -> int:
    """Print the least rights that driving a Kubernetes cluster takes, for its owner to apply."""
    found = rbac.manifests(namespace=namespace, kubelet_summaries=kubelet_summaries)
    output.say(yaml.safe_dump_all(found, sort_keys=False).rstrip())
    return 0


def show_why(
    known: settings.All, name: str, namespace: str, form: options.Format, *, kubeconfig: str | None = None
) -> int:
    """Print why a Unit's instances are where they are."""
    name = name.rpartition("/")[2]

    async def work() -> why.Explanation:
        async with access.way(known, kubeconfig) as api:
            return await why.explain(api, meta.Key(namespace, name))

    found = asyncio.run(work())
    if form is not options.Format.TEXT:
        output.data(found, form)
        return 0
    output.say(f"unit {found.namespace}/{found.unit}, {found.replicas} wanted")
    _table("CLUSTER", found.clusters)
    for place, nodes in found.nodes.items():
        output.say()
        output.say(f"in cluster {place}, for one more instance:")
        _table("NODE", nodes)
    if found.waiting:
        output.say()
        output.say("waiting:")
        for each in found.waiting:
            output.say(f"  {each.instance}: {each.reason}")
    if found.history:
        output.say()
        output.say("decisions:")
        for line in found.history:
            output.say(f"  {line}")
    return 0


def _table(head: str, found: Sequence[why.Found]) -> None:
    rows = [
        (
            each.name,
            ",".join(map(str, each.instances)) or "-",
            "-" if each.score is None else f"{each.score:.2f}",
            "; ".join(each.obstacles)
            or ", ".join(f"{part} {value:.2f}" for part, value in each.parts.items())
            or "fits",
        )
        for each in found
    ]
    for line in output.columns([(head, "INSTANCES", "SCORE", "BECAUSE"), *rows]):
        output.say(line)


def _join(
    known: settings.All,
    wanted: clusters.Wanted,
    *,
    dry_run: bool,
    force: bool,
    form: options.Format,
    via: str | None,
) -> int:
    async def work() -> ports.Report:
        async with access.way(known, via) as api:
            if await api.find(cluster.Cluster, wanted.name) is not None:
                raise faults.CommandFailed(f"there is a cluster {wanted.name} already: choose another --name")
            report = await clusters.look(api, wanted, domain=known.domain)
            if not dry_run and (force or not clusters.lacking(report)):
                await clusters.join(api, wanted)
            return report

    try:
        report = asyncio.run(work())
    except ports.ClusterFault as fault:
        raise faults.CommandFailed(f"cluster {wanted.name}: {fault}") from None
    except errors.AlreadyExists as fault:
        raise faults.CommandFailed(f"{fault.message}: choose another --name, or remove it first") from None
    fatal = clusters.lacking(report)
    joined = not dry_run and (force or not fatal)
    if form is not options.Format.TEXT:
        output.data({"name": wanted.name, "joined": joined, **clusters.plain(report)}, form)
        return 1 if fatal and not force else 0
    ready = sum(each.ready for each in report.nodes)
    output.say(f"{report.version}, {ready}/{len(report.nodes)} nodes ready, answers in {report.latency * 1000:.0f} ms")
    for lack in report.lacks:
        output.say(f"{'missing' if lack.fatal else 'without'}: {lack.what}. {lack.remedy}")
    if joined:
        output.say(f"cluster {wanted.name} joined: see it with `boxfleet cluster list`")
    elif fatal and not force:
        raise faults.CommandFailed(f"cluster {wanted.name} lacks what is needed; nothing was changed")
    else:
        output.say("dry run: nothing was changed")
    return 0


def _wanted(name: str, spec: Mapping[str, Any], words: Sequence[str], *, keys: Mapping[str, bytes]) -> clusters.Wanted:
    if fault := names.label(name):
        raise faults.CommandFailed(f"--name {name}: {fault}")
    labels: dict[str, str] = {}
    for word in words:
        key, mark, value = word.partition("=")
        if not mark or names.label_key(key):
            raise faults.CommandFailed(f"--label {word}: write it as topology.kubernetes.io/zone=east")
        labels[key] = value
    # JSON has no word for it, and so it would become nothing on the way.
    if not math.isfinite(spec["cost"]):
        raise faults.CommandFailed(f"--cost {spec['cost']}: it must be a number")
    body = dict(spec) | ({"credentials": {"secret": name}} if keys else {})
    try:
        converted = msgspec.convert(body, cluster.ClusterSpec)
    except msgspec.ValidationError as error:
        raise faults.CommandFailed(f"cluster {name}: {error}") from None
    return clusters.Wanted(name=name, spec=converted, labels=labels, keys=keys)


def _one_context(text: str, context: str, *, where: str) -> tuple[str, str]:
    """The kubeconfig reduced to one context: keys of other clusters are none of ours. Also the cluster's name there."""
    documents = yaml_files.documents(text.encode(), where)
    found = documents[0] if len(documents) == 1 else None
    if not isinstance(found, dict):
        raise faults.CommandFailed(f"{where} is no kubeconfig")
    chosen = context or found.get("current-context") or ""
    inside = _part(_named(found, "contexts", chosen, where), "context", where)
    of_cluster = _named(found, "clusters", inside.get("cluster", ""), where)
    of_user = _named(found, "users", inside.get("user", ""), where)
    folder = pathlib.Path(where).resolve().parent
    reduced = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": chosen,
        "contexts": [{"name": chosen, "context": inside}],
        "clusters": [{**of_cluster, "cluster": _inlined(_part(of_cluster, "cluster", where), folder)}],
        "users": [{**of_user, "user": _inlined(_part(of_user, "user", where), folder)}],
    }
    return json.dumps(reduced), str(inside.get("cluster", ""))


def _named(found: Mapping[str, Any], part: str, name: str, where: str) -> dict[str, Any]:
    entries = found.get(part) or ()
    for each in entries:
        if isinstance(each, dict) and each.get("name") == name:
            return each
    known = ", ".join(str(each.get("name")) for each in entries if isinstance(each, dict)) or "none"
    advice = ". Choose one with --context" if part == "contexts" and known != "none" else ""
    raise faults.CommandFailed(f"{where}: {part} has no {name!r}; there are: {known}{advice}")


def _part(entry: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    """What an entry of a kubeconfig says; nothing when it is empty."""
    found = entry.get(name) or {}
    if not isinstance(found, dict):
        raise faults.CommandFailed(f"{where}: {name} of {entry.get('name')!r} is no mapping")
    return found


def _inlined(part: Mapping[str, Any], folder: pathlib.Path) -> dict[str, Any]:
    """Files that a kubeconfig names, read into it: the server does not have them."""
    found = dict(part)
    for key in ("certificate-authority", "client-certificate", "client-key"):
        if path := found.pop(key, ""):
            found[f"{key}-data"] = base64.b64encode(_read(folder / path).encode()).decode()
    if path := found.pop("tokenFile", ""):
        found["token"] = _read(folder / path).strip()
    return found


def _read(path: pathlib.Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        # An error of the system names the file once more.
        cause = error.strerror if isinstance(error, OSError) else error
        raise faults.CommandFailed(f"cannot read {path}: {cause}") from None


def _as_name(text: str) -> str:
    """A cluster's name in a kubeconfig as one of ours."""
    found = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in text.lower()).strip("-")
    return found[:63].strip("-") or "cluster"


def _row(subject: cluster.Cluster) -> tuple[str, ...]:
    spec, status = subject.spec, subject.status
    ready = meta.find_condition(status.conditions, "Ready")
    state = "Unknown" if ready is None else "Ready" if ready.status == "True" else ready.reason or "NotReady"
    if spec.unschedulable:
        state += ",Cordoned"
    if subject.metadata.deletionTimestamp:
        state += ",Leaving"
    own = ",".join(f"{key}={value}" for key, value in sorted(subject.metadata.labels.items()))
    return (
        subject.metadata.name,
        spec.type.value,
        status.version or "-",
        f"{status.readyNodes}/{status.nodes}",
        _use(status, "cpu"),
        _use(status, "memory"),
        f"{status.latencyMilliseconds:.0f}ms" if status.latencyMilliseconds else "-",
        f"{spec.cost:g}" if spec.cost else "-",
        state,
        own or "-",
    )


def _use(status: cluster.ClusterStatus, resource: str) -> str:
    has = status.allocatable.get(resource)
    if has is None:
        return "-"
    used, whole = (resources.amounts({resource: text})[resource] for text in (status.requested.get(resource, "0"), has))
    return f"{resources.text_of(resource, used)}/{resources.text_of(resource, whole)}"
