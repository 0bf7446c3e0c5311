"""Which drivers there are, and joining the clusters that others run."""

import base64
import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from boxfleet.api import cluster, config, labels, meta, namespace, pod
from boxfleet.client import client, errors
from boxfleet.controllers.cluster import controller
from boxfleet.drivers.docker import driver as docker
from boxfleet.drivers.kubernetes import cluster as kubernetes
from boxfleet.drivers.kubernetes import settings as kubernetes_settings
from boxfleet.kit import clock as clocks
from boxfleet.ports import cluster as ports

KUBECONFIG = "kubeconfig"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A cluster that is to join, with the keys to it by their names in a Secret."""

    name: str
    spec: cluster.ClusterSpec
    labels: Mapping[str, str]
    keys: Mapping[str, bytes] = dataclasses.field(repr=False)


def connectors(
    *, fleet: Callable[[], str], clock: clocks.Clock, domain: str
) -> Mapping[cluster.ClusterType, controller.Connect]:
    """What makes drivers of Clusters, by their type; `fleet` gives the mark of what is ours there."""

    def to_kubernetes(found: cluster.Cluster, keys: Mapping[str, bytes]) -> ports.Cluster:
        access = found.spec.kubernetes or cluster.KubernetesAccess()
        text = keys.get(KUBECONFIG)
        if text is None:
            raise ports.Denied(f"its Secret has no key {KUBECONFIG}")
        return kubernetes.Cluster(
            kubernetes_settings.Settings(
                fleet=fleet(),
                kubeconfig=text.decode(errors="replace"),
                namespace_prefix=access.namespacePrefix,
                adopt_namespaces=access.adoptNamespaces,
                storage_class=access.storageClass,
            )
        )

    def to_docker(found: cluster.Cluster, keys: Mapping[str, bytes]) -> ports.Cluster:
        if found.spec.docker is None:
            raise ports.Denied("spec.docker.host does not say where the engine is")
        return docker.Driver(found.spec.docker, fleet=fleet(), credentials=keys, clock=clock, domain=domain)

    return {cluster.ClusterType.KUBERNETES: to_kubernetes, cluster.ClusterType.DOCKER: to_docker}


async def fleet_of(api: client.Client) -> str:
    """What this Boxfleet is called where it shares a cluster with others: it never changes. Raises ApiError."""
    return (await api.get(namespace.Namespace, "kube-system")).metadata.uid


async def look(api: client.Client, wanted: Wanted, *, domain: str) -> ports.Report:
    """See from here what joining would find, without changing anything. Raises ApiError and ClusterFault."""
    own = await fleet_of(api)
    made = connectors(fleet=lambda: own, clock=clocks.SystemClock(), domain=domain)
    subject = cluster.Cluster(metadata=meta.ObjectMeta(name=wanted.name), spec=wanted.spec)
    driver = made[wanted.spec.type](subject, wanted.keys)
    try:
        return await driver.check()
    finally:
        await driver.close()


async def join(api: client.Client, wanted: Wanted) -> None:
    """Make the Cluster and the Secret with its keys; raises ApiError, AlreadyExists for a name that is taken."""
    if wanted.keys:
        with contextlib.suppress(errors.AlreadyExists):
            await api.create(namespace.Namespace(metadata=meta.ObjectMeta(name=cluster.NAMESPACE)))
        data = {name: base64.b64encode(value).decode() for name, value in wanted.keys.items()}
        secret = config.Secret(metadata=meta.ObjectMeta(name=wanted.name, namespace=cluster.NAMESPACE), data=data)
        try:
            await api.create(secret)
        except errors.AlreadyExists:
            if await api.find(cluster.Cluster, wanted.name) is not None:
                raise
            # Who deletes a Cluster by other means than `remove` leaves its keys.
            await api.delete(config.Secret, wanted.name, namespace=cluster.NAMESPACE)
            await api.create(secret)
    subject = cluster.Cluster(metadata=meta.ObjectMeta(name=wanted.name, labels=dict(wanted.labels)), spec=wanted.spec)
    try:
        await api.create(subject)
    except errors.ApiError:
        if wanted.keys:
            # Keys of a cluster that did not join are nobody's.
            await api.delete(config.Secret, wanted.name, namespace=cluster.NAMESPACE)
        raise


async def remove(api: client.Client, name: str, *, policy: str) -> None:
    """Ask for a Cluster to go, its instances by that policy where one is said; its keys go with it at the end."""
    if policy:
        await api.patch(cluster.Cluster, name, {"spec": {"onDelete": policy}})
    await api.delete(cluster.Cluster, name)


async def instances_on(api: client.Client, name: str) -> int:
    """How many instances a Cluster still has."""
    return len((await api.list(pod.Pod, labels=f"{labels.CLUSTER}={name}")).items)


async def forget_keys(api: client.Client, name: str) -> None:
    """Take the keys of a Cluster away that is gone."""
    try:
        await api.delete(config.Secret, name, namespace=cluster.NAMESPACE)
    except errors.NotFound:
        return


def plain(report: ports.Report) -> dict[str, Any]:
    """A report as data for programs."""
    found: dict[str, Any] = msgspec.to_builtins(report)
    return found


def lacking(report: ports.Report) -> Sequence[ports.Lack]:
    """What keeps a cluster from being driven."""
    return [each for each in report.lacks if each.fatal]
