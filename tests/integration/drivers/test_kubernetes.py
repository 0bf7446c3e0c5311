"""The Kubernetes driver on a whole cluster, with the account that `boxfleet cluster rbac` makes."""

import contextlib
import json
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence

import msgspec
import pytest
import yaml

from boxfleet.drivers.kubernetes import cluster as driver
from boxfleet.drivers.kubernetes import connection, faults, names, rbac, settings
from boxfleet.drivers.kubernetes import kubeconfig as kubeparse
from boxfleet.ports import cluster as port
from boxfleet.testing import tools
from boxfleet.testing.conformance import cluster as suite
from boxfleet.testing.kubernetes import cluster as real
from boxfleet.testing.kubernetes import programs

pytestmark = [
    pytest.mark.machine,
    pytest.mark.skipif(bool(programs.lacking()), reason=f"this machine lacks {programs.lacking()}"),
    pytest.mark.kubernetes(*programs.PROGRAMS),
]

PREFIX = "bf-"
# A kind of its own for each bed, so that one is not the other's.
SPACE = "conformance"


@pytest.fixture(scope="session")
def place() -> Iterator[real.Running]:
    with real.running(archives=[tools.archive()]) as running:
        running.apply(*rbac.manifests())
        yield running
    assert real.leftovers(running.folder.name) == []


@pytest.fixture(scope="session")
def kubeconfig(place: real.Running) -> str:
    """Of the least-privilege account."""
    secret = json.loads(place.kubectl("get", "secret", "-n", "boxfleet-access", "boxfleet-token", "-o", "json"))
    data = secret["data"]
    token = subprocess.run(["base64", "-d"], input=data["token"], capture_output=True, text=True, check=True).stdout
    return yaml.safe_dump(
        {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [
                {"name": "c", "cluster": {"server": place.api.url, "certificate-authority-data": data["ca.crt"]}}
            ],
            "users": [{"name": "u", "user": {"token": token}}],
        }
    )


def told(kubeconfig: str, *, fleet: str = "ours", adopt: bool = False) -> settings.Settings:
    return settings.Settings(
        fleet=fleet,
        kubeconfig=kubeconfig,
        namespace_prefix=PREFIX,
        storage_class=real.STORAGE_CLASS,
        adopt_namespaces=adopt,
    )


def _stranger(namespace: str, name: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterIP": "None", "selector": {"a": "b"}},
    }


@pytest.fixture
async def bed(place: real.Running, kubeconfig: str) -> AsyncIterator[suite.Bed]:
    @contextlib.asynccontextmanager
    async def cut() -> AsyncIterator[None]:
        with place.way.cut():
            yield

    @contextlib.asynccontextmanager
    async def occupy(namespace: str, name: str) -> AsyncIterator[None]:
        space = PREFIX + namespace
        place.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space, "labels": {names.FLEET: "ours"}}},
            _stranger(space, name),
        )
        yield
        place.kubectl("delete", "service", name, "-n", space)

    async def traces(namespace: str, name: str) -> Sequence[str]:
        kinds = "statefulsets,pods,services,configmaps,secrets,persistentvolumeclaims,poddisruptionbudgets"
        marks = f"{names.FLEET}=ours,boxfleet.dev/unit={name}"
        found = place.kubectl("get", kinds, "-n", PREFIX + namespace, "-l", marks, "-o", "name")
        shared = f"{names.FLEET}=ours,{names.USED_BY}{name}"
        return [
            *found.split(),
            *place.kubectl("get", kinds, "-n", PREFIX + namespace, "-l", shared, "-o", "name").split(),
        ]

    async def kill(namespace: str, name: str) -> None:
        place.kubectl("delete", "pod", name, "-n", PREFIX + namespace, "--grace-period=0", "--force")

    async with suite.followed(driver.Cluster(told(kubeconfig))) as opened:
        yield suite.Bed(
            driver=opened,
            image=tools.IMAGE,
            server=tools.server,
            again=lambda: driver.Cluster(told(kubeconfig)),
            stranger=lambda: driver.Cluster(told(kubeconfig, fleet="others")),
            cut=cut,
            occupy=occupy,
            traces=traces,
            kill=kill,
            impossible=({"hostname": "elsewhere"}, r"spec\.hostname"),
            files_in_place=False,
        )


class TestKubernetes(suite.ClusterConformance, suite.RunningConformance):
    """One suite for all drivers."""


@pytest.mark.anyio
async def test_the_others_are_healed_while_one_is_away(bed: suite.Bed) -> None:
    async with bed.delivered(bed.share("healed", ordinals=(0, 1, 2))):
        without = bed.share("healed", ordinals=(0, 1, 2), missing=(0,), grace={"healed-0": 1})
        await bed.driver.deliver(without)
        before = await bed.ready(without)
        await bed.kill(bed.namespace, "healed-2")
        await bed.until(without.key, lambda now: all(each.incarnation != before[1].incarnation for each in now))
        after = await bed.ready(without)
        assert [each.name for each in after] == ["healed-1", "healed-2"]
        assert after[0].incarnation == before[0].incarnation


@pytest.mark.anyio
async def test_history_that_is_compacted_is_told_apart(place: real.Running, kubeconfig: str) -> None:
    via = connection.Connection(kubeparse.parse(kubeconfig))
    try:
        page = await via.call("GET", "/api/v1/pods")
        old = page["metadata"]["resourceVersion"]
        place.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "later"}})
        place.api.compact()
        with pytest.raises(faults.Expired):
            await via.call("GET", "/api/v1/pods", query={"resourceVersion": old, "resourceVersionMatch": "Exact"})
    finally:
        await via.close()


@pytest.mark.anyio
async def test_namespaces_of_others_are_adopted_only_when_allowed(place: real.Running, kubeconfig: str) -> None:
    place.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"{PREFIX}theirs"}})
    share = port.Share(namespace="theirs", unit="u", box="", ordinals=[0], orders={})
    async with suite.followed(driver.Cluster(told(kubeconfig))) as careful:
        with pytest.raises(port.Taken, match="adoptNamespaces"):
            await careful.deliver(share)
    async with suite.followed(driver.Cluster(told(kubeconfig, adopt=True))) as allowed:
        await allowed.deliver(share)
        await allowed.withdraw(share.key)


@pytest.mark.anyio
async def test_a_budget_and_what_it_is_not_asked_for(bed: suite.Bed, place: real.Running) -> None:
    share = msgspec.structs.replace(bed.share("budget", ordinals=(0, 1)), min_available=1)
    space = PREFIX + bed.namespace
    async with bed.delivered(share):
        found = json.loads(place.kubectl("get", "poddisruptionbudget", "budget", "-n", space, "-o", "json"))
        assert found["spec"]["minAvailable"] == 1
        await bed.driver.deliver(bed.share("budget", ordinals=(0, 1)))
        assert place.kubectl("get", "poddisruptionbudget", "-n", space, "-o", "name") == ""


@pytest.mark.anyio
async def test_what_the_cluster_refuses_is_said_before_anything_is_made(bed: suite.Bed) -> None:
    share = bed.share("newer", schedulingGates=[{"name": "a/b"}])
    with pytest.raises(port.Unsupported, match="schedulingGates"):
        await bed.driver.deliver(share)
    assert await bed.traces(bed.namespace, "newer") == []


@pytest.mark.anyio
async def test_usage_is_measured_where_it_can_be(bed: suite.Bed, place: real.Running) -> None:
    with pytest.raises(port.Unsupported, match="metrics-server"):
        await bed.driver.usage(real.NODE)
    async with bed.delivered(bed.share("used")):
        place.apply(*rbac.manifests(kubelet_summaries=True))
        try:
            report = await bed.driver.usage(real.NODE)
        finally:
            place.apply(*rbac.manifests())
        assert "used-0" in {each.pod for each in report.containers}
        assert report.memory > 0


@pytest.mark.anyio
async def test_missing_rights_are_named(place: real.Running, kubeconfig: str) -> None:
    objects = [each for each in rbac.manifests() if each["kind"] == "ClusterRole"]
    less = {
        **objects[0],
        "rules": [each for each in objects[0]["rules"] if not {"secrets", "nodes"} & set(each["resources"])],
    }
    place.apply(less)
    narrow = driver.Cluster(told(kubeconfig))
    try:
        report = await narrow.check()
        lacks = {each.what: each.fatal for each in report.lacks}
        assert lacks["the right to list secrets (secrets that instances use)"] is True
        assert lacks["the right to list nodes (hosts and their capacity)"] is False
        assert report.nodes == []
        share = port.Share(namespace="conformance", unit="u", box="", ordinals=[0], orders={})
        with pytest.raises(port.Denied, match='list resource "secrets"'):
            await narrow.deliver(share)
    finally:
        place.apply(*objects)
        await narrow.close()


@pytest.mark.anyio
async def test_wrong_credentials_are_named(place: real.Running, kubeconfig: str) -> None:
    document = yaml.safe_load(kubeconfig)
    document["users"][0]["user"]["token"] = "nobody's"
    stranger = driver.Cluster(told(yaml.safe_dump(document)))
    try:
        with pytest.raises(port.Denied, match="fresh kubeconfig"):
            await stranger.check()
    finally:
        await stranger.close()
    document["clusters"][0]["cluster"].pop("certificate-authority-data")
    careful = driver.Cluster(told(yaml.safe_dump(document)))
    try:
        with pytest.raises(port.Denied, match="certificate"):
            await careful.check()
    finally:
        await careful.close()
