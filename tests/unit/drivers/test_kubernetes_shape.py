"""Which native objects a share becomes."""

from typing import Any

import pytest

from boxfleet.api import wellknown
from boxfleet.drivers.kubernetes import names, settings, shape
from boxfleet.ports import cluster

OWN = settings.Settings(fleet="f", kubeconfig="", namespace_prefix="p-", storage_class="fast")
SERVER = shape.Server()


def order(name: str, *, uid: str = "u", revision: str = "r", created: str = "2026", **spec: Any) -> cluster.Order:
    pod = {
        "metadata": {
            "name": name,
            "uid": uid,
            "creationTimestamp": created,
            "labels": {"app": "x", "boxfleet.dev/revision": revision, "boxfleet.dev/cluster": "c"},
            "annotations": {"note": "kept", "boxfleet.dev/address": "198.18.0.1"},
        },
        "spec": {"containers": [{"name": "main", "image": "i"}], **spec},
    }
    return cluster.Order(pod=pod)


def with_env(name: str, *, uid: str = "u", revision: str = "r", created: str = "2026", **env: str) -> cluster.Order:
    container = {"name": "main", "image": "i", "env": [{"name": key, "value": env[key]} for key in env]}
    return order(name, uid=uid, revision=revision, created=created, containers=[container])


def share(orders: dict[int, cluster.Order], ordinals: list[int] | None = None, **more: Any) -> cluster.Share:
    found = sorted(orders) if ordinals is None else ordinals
    return cluster.Share(namespace="n", unit="db", box="b", ordinals=found, orders=orders, **more)


def plan(wanted: cluster.Share, *, present: dict[str, Any] | None = None, server: shape.Server = SERVER) -> shape.Plan:
    return shape.plan(OWN, wanted, present=shape.Present(sets=present or {}), server=server)


def there(made: shape.Plan) -> dict[str, Any]:
    """What a plan leaves in the cluster."""
    return {each["metadata"]["name"]: each for each in made.sets}


def sizes(made: shape.Plan) -> dict[str, int]:
    return {each["metadata"]["name"]: each["spec"]["replicas"] for each in made.sets}


def test_instances_that_differ_by_name_are_one_set() -> None:
    orders = {n: with_env(f"db-{n}", uid=f"u{n}", ME=f"db-{n}", URL=f"http://db-{n}.x/") for n in range(3)}
    made = plan(share(orders))
    assert sizes(made) == {"db": 3}
    [one] = made.sets
    assert one["metadata"]["namespace"] == "p-n"
    assert one["metadata"]["labels"] == {names.FLEET: "f", "boxfleet.dev/unit": "db", "boxfleet.dev/box": "b"}
    template = one["spec"]["template"]
    assert template["metadata"]["labels"]["app"] == "x"
    assert "boxfleet.dev/cluster" not in template["metadata"]["labels"]
    assert template["metadata"]["annotations"] == {"note": "kept", names.ORDERS: '{"0":"u0","1":"u1","2":"u2"}'}
    env = {each["name"]: each for each in template["spec"]["containers"][0]["env"]}
    assert env["ME"]["value"] == "$(BOXFLEET_INSTANCE)"
    assert env["URL"]["value"] == "http://$(BOXFLEET_INSTANCE).x/"
    assert env["BOXFLEET_INSTANCE"]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    assert template["spec"]["automountServiceAccountToken"] is False
    assert made.orders == {"db-0": "u0", "db-1": "u1", "db-2": "u2"}


def test_an_instance_of_ten_is_not_taken_for_the_first() -> None:
    orders = {n: with_env("db-1", PEERS="db-1,db-10,db-11") for n in (0,)}
    orders = {1: with_env("db-1", PEERS="db-1,db-10,db-11")}
    made = plan(share(orders), server=shape.Server(starts=True))
    [variable] = [
        each for each in made.sets[0]["spec"]["template"]["spec"]["containers"][0]["env"] if each["name"] == "PEERS"
    ]
    assert variable["value"] == "$(BOXFLEET_INSTANCE),db-10,db-11"


def test_instances_that_differ_otherwise_have_sets_of_their_own() -> None:
    made = plan(share({n: with_env(f"db-{n}", uid=f"u{n}", NUMBER=str(n)) for n in range(3)}))
    assert sizes(made) == {"db": 1, "db-1": 1, "db-2": 1}
    assert made.orders == {"db-0": "u0", "db-1-0": "u1", "db-2-0": "u2"}
    services = [each["metadata"]["name"] for kind, each in made.objects if kind is names.SERVICES]
    assert services == ["db", "db-1", "db-2"]


def test_a_run_of_other_ordinals_where_the_server_knows_it() -> None:
    wanted = share({n: order(f"db-{n}", uid=f"u{n}") for n in (3, 4)})
    assert sizes(plan(wanted)) == {"db-3": 1, "db-4": 1}
    made = plan(wanted, server=shape.Server(starts=True))
    assert sizes(made) == {"db": 2}
    assert made.sets[0]["spec"]["ordinals"] == {"start": 3}


def test_instances_stay_where_they_are() -> None:
    whole = {n: order(f"db-{n}", uid=f"u{n}") for n in range(3)}
    present = there(plan(share(whole)))
    without = {n: whole[n] for n in (0, 2)}
    made = plan(share(without, [0, 1, 2]), present=present)
    assert sizes(made) == {"db": 3}
    assert made.orders == {"db-0": "u0", "db-2": "u2"}
    # Also when the one in the middle is another cluster's from now on.
    made = plan(share(without), present=present)
    assert (sizes(made), made.orders) == ({"db": 3}, {"db-0": "u0", "db-2": "u2"})
    made = plan(share(without | {7: order("db-7", uid="u7")}), present=present)
    assert sizes(made) == {"db": 3, "db-7": 1}


def test_nothing_is_made_over_a_gap_where_no_pod_keeps_the_place() -> None:
    orders = {n: order(f"db-{n}", uid=f"u{n}") for n in (0, 2)}
    assert sizes(plan(share(orders, [0, 1, 2]))) == {"db": 1}
    assert sizes(plan(share({1: orders[0]}, [0, 1]))) == {"db": 0}


def test_the_last_ones_are_scaled_away() -> None:
    whole = {n: order(f"db-{n}", uid=f"u{n}") for n in range(3)}
    present = there(plan(share(whole)))
    assert sizes(plan(share({0: whole[0]}), present=present)) == {"db": 1}
    made = plan(share({}, [0, 1, 2]), present=present)
    assert (made.sets, made.empty) == ([], ["db"])


def test_environment_that_changes_one_by_one_keeps_the_set() -> None:
    old = {n: with_env(f"db-{n}", uid=f"u{n}", PEERS="2") for n in range(3)}
    present = there(plan(share(old)))
    new = old | {0: with_env("db-0", uid="v0", created="2027", PEERS="3")}
    made = plan(share(new), present=present)
    assert sizes(made) == {"db": 3}
    assert made.sets[0]["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] == "3"


def test_a_new_revision_comes_one_by_one() -> None:
    old = {n: order(f"db-{n}", uid=f"u{n}") for n in range(3)}
    present = there(plan(share(old)))
    newer = {0: with_env("db-0", uid="v0", revision="s", created="2027", A="1")}
    made = plan(share(old | newer), present=present)
    assert sizes(made) == {"db": 3}
    assert made.orders == {"db-0": "v0", "db-1": "u1", "db-2": "u2"}
    # From then on they differ by nature: the next one leaves the set, the others stay.
    newer[1] = with_env("db-1", uid="v1", revision="s", created="2028", A="2")
    made = plan(share(old | newer), present=there(made))
    assert sizes(made) == {"db": 3, "db-1": 1}
    assert made.orders == {"db-0": "v0", "db-1-0": "v1", "db-2": "u2"}


def test_files_of_all_are_in_one_map() -> None:
    def filed(n: int) -> cluster.Order:
        items = [{"key": "a-1", "path": "a-1", "mode": 0o600}, {"key": "b-2", "path": "b-2", "mode": 0o644}]
        mounts = [
            {"name": "boxfleet-files", "mountPath": "/a", "subPath": "a-1"},
            {"name": "boxfleet-files", "mountPath": "/b", "subPath": "b-2"},
        ]
        made = order(
            f"db-{n}",
            containers=[{"name": "main", "image": "i", "volumeMounts": mounts}],
            volumes=[{"name": "boxfleet-files", "configMap": {"name": f"db-{n}-files", "items": items}}],
        )
        files = {f"db-{n}-files": {"data": {"a-1": f"a{n}", "b-2": "b"}}}
        return cluster.Order(pod=made.pod, config_maps=files)

    made = plan(share({n: filed(n) for n in range(2)}))
    assert sizes(made) == {"db": 2}
    [files] = [each for kind, each in made.objects if kind is names.CONFIG_MAPS]
    assert files["metadata"]["name"] == "db-files"
    assert files["data"] == {"db-0.a-1": "a0", "db-0.b-2": "b", "db-1.a-1": "a1", "db-1.b-2": "b"}
    spec = made.sets[0]["spec"]["template"]["spec"]
    assert spec["volumes"] == [
        {"name": "boxfleet-files-600", "configMap": {"name": "db-files", "defaultMode": 0o600}},
        {"name": "boxfleet-files-644", "configMap": {"name": "db-files", "defaultMode": 0o644}},
    ]
    assert spec["containers"][0]["volumeMounts"][0] == {
        "name": "boxfleet-files-600",
        "mountPath": "/a",
        "subPathExpr": "$(BOXFLEET_INSTANCE).a-1",
    }


def test_claims_are_named_as_kubernetes_names_them() -> None:
    def claiming(n: int) -> cluster.Order:
        volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": f"data-db-{n}"}}]
        claim = {
            "metadata": {"name": f"data-db-{n}", "uid": "x"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
                "storageClassName": "boxfleet-local",
                "volumeName": "v",
            },
        }
        return cluster.Order(pod=order(f"db-{n}", volumes=volumes).pod, claims={f"data-db-{n}": claim})

    made = plan(share({n: claiming(n) for n in range(2)}))
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "fast",
    }
    assert made.sets[0]["spec"]["volumeClaimTemplates"] == [{"metadata": {"name": "data"}, "spec": spec}]
    assert made.sets[0]["spec"]["template"]["spec"]["volumes"] == []
    assert [(each["metadata"]["name"], each["spec"]) for each in made.kept] == [
        ("data-db-0", spec),
        ("data-db-1", spec),
    ]
    # A claim that comes later cannot be added: the set is made anew around its Pods.
    plain = there(plan(share({n: order(f"db-{n}") for n in range(2)})))
    assert plan(share({n: claiming(n) for n in range(2)}), present=plain).anew == "db"


def test_what_runs_once_is_a_pod() -> None:
    made = plan(share({0: order("db-0", uid="u0", restartPolicy="Never")}))
    assert made.sets == []
    assert made.once["db-0"]["metadata"]["annotations"] == {"note": "kept", names.ORDER: "u0"}
    assert [kind for kind, _ in made.objects] == []


def test_what_is_boxfleets_is_left_out() -> None:
    token = {"name": "kube-api-access-x", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
    mount = {"name": "kube-api-access-x", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    made = plan(
        share(
            {
                0: order(
                    "db-0",
                    nodeName="mirror",
                    serviceAccountName="mine",
                    schedulerName="default-scheduler",
                    volumes=[token],
                    containers=[{"name": "main", "image": "i", "volumeMounts": [mount]}],
                )
            }
        )
    )
    assert made.sets[0]["spec"]["template"]["spec"] == {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [{"name": "main", "image": "i", "volumeMounts": []}],
        "volumes": [],
    }


def test_budget_and_ports() -> None:
    container = {
        "name": "main",
        "image": "i",
        "ports": [{"containerPort": 80}, {"containerPort": 53, "protocol": "UDP"}],
    }
    made = plan(share({0: order("db-0", containers=[container])}, min_available="50%"))
    objects = dict(made.objects)
    assert objects[names.SERVICES]["spec"]["ports"] == [
        {"name": "udp-53", "port": 53, "protocol": "UDP"},
        {"name": "tcp-80", "port": 80, "protocol": "TCP"},
    ]
    assert objects[names.BUDGETS]["spec"]["minAvailable"] == "50%"


def test_sources_are_marked_by_who_uses_them() -> None:
    made = order("db-0")
    secret = {"data": {"k": "dg=="}, "type": "Opaque", "metadata": {"uid": "x"}}
    both = cluster.Order(pod=made.pod, config_maps={"shared": {"data": {"a": "b"}}}, secrets={"keys": secret})
    objects = {each["metadata"]["name"]: each for _, each in plan(share({0: both})).objects}
    assert objects["shared"]["metadata"]["labels"] == {names.FLEET: "f", "used-by.boxfleet.dev/db": ""}
    assert (objects["keys"]["data"], objects["keys"]["type"]) == ({"k": "dg=="}, "Opaque")
    token = cluster.Order(pod=made.pod, secrets={"keys": secret | {"type": "kubernetes.io/service-account-token"}})
    [keys] = [each for kind, each in plan(share({0: token})).objects if kind is names.SECRETS]
    assert keys["type"] == "Opaque"


def test_the_authorities_of_the_clusters_own_api_are_left_alone() -> None:
    # Every Pod of a whole Boxfleet names this one, and every Namespace of a Kubernetes has it.
    found = {wellknown.ROOT_CA: {"data": {"ca.crt": "ours"}}, "shared": {"data": {"a": "b"}}}
    made = plan(share({0: cluster.Order(pod=order("db-0").pod, config_maps=found)}))
    maps = [each["metadata"]["name"] for kind, each in made.objects if kind is names.CONFIG_MAPS]
    assert maps == ["shared"]


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ({"hostname": "h"}, "spec.hostname"),
        ({"volumes": [{"name": "s", "csi": {"driver": "ipc.boxfleet.dev"}}]}, r"spec\.volumes\[0\]\.csi"),
        ({"activeDeadlineSeconds": 5}, "spec.activeDeadlineSeconds"),
        (
            {"volumes": [{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]},
            r"spec\.volumes\[0\]\.projected\.sources\[0\]\.serviceAccountToken",
        ),
    ],
)
def test_what_cannot_be_done_is_named(spec: dict[str, Any], word: str) -> None:
    with pytest.raises(cluster.Unsupported, match=word):
        plan(share({0: order("db-0", **spec)}))


def test_names_that_do_not_fit_are_named() -> None:
    long = cluster.Share(namespace="n", unit="u" * 51, box="", ordinals=[0], orders={0: order("x")})
    with pytest.raises(cluster.Unsupported, match="52 characters"):
        plan(long)
    digit = cluster.Share(namespace="n", unit="1st", box="", ordinals=[0], orders={0: order("x")})
    with pytest.raises(cluster.Unsupported, match="digit"):
        plan(digit)
    deep = cluster.Share(namespace="n" * 62, unit="u", box="", ordinals=[0], orders={0: order("x")})
    with pytest.raises(cluster.Unsupported, match="63 characters"):
        plan(deep)
