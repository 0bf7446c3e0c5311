"""A Pod in the runtime's words."""

from typing import Any

import msgspec

from boxfleet.api import meta
from boxfleet.api import pod as pods
from boxfleet.planning import pod_runtime
from boxfleet.ports import runtime

HOST = pod_runtime.Resolver(servers=["192.0.2.53"], searches=["corp"])


def pod(labels: dict[str, str] | None = None, **spec: Any) -> pods.Pod:
    spec.setdefault("containers", [{"name": "main"}])
    return pods.Pod(
        metadata=meta.ObjectMeta(name="b-u-0", namespace="n", uid="u", labels=labels or {}),
        spec=msgspec.convert(spec, pods.PodSpec),
    )


def resolver(wanted: pods.Pod) -> pod_runtime.Resolver:
    return pod_runtime.resolver(wanted, cluster="10.88.0.1", domain="fleet.internal", host=HOST)


def test_names_inside_a_box_are_short() -> None:
    found = resolver(pod({"boxfleet.dev/box": "b"}))
    assert found.servers == ["10.88.0.1"]
    assert found.searches == ["b.n.fleet.internal", "n.fleet.internal", "fleet.internal"]
    assert found.options == ["ndots:2"]
    assert resolver(pod()).searches == ["n.fleet.internal", "fleet.internal"]


def test_dns_policies() -> None:
    assert resolver(pod(dnsPolicy="Default")) == HOST
    assert resolver(pod(hostNetwork=True)) == HOST
    assert resolver(pod(hostNetwork=True, dnsPolicy="ClusterFirstWithHostNet")).servers == ["10.88.0.1"]
    own = {
        "nameservers": ["1.1.1.1"],
        "searches": ["x"],
        "options": [{"name": "ndots", "value": "5"}, {"name": "edns0"}],
    }
    assert resolver(pod(dnsPolicy="None", dnsConfig=own)) == pod_runtime.Resolver(
        servers=["1.1.1.1"], searches=["x"], options=["ndots:5", "edns0"]
    )
    assert resolver(pod(dnsConfig=own)).options == ["ndots:5", "edns0"]


def test_the_sandbox() -> None:
    wanted = pod(
        containers=[{"name": "main", "ports": [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 81}]}],
        securityContext={
            "fsGroup": 5,
            "supplementalGroups": [6],
            "sysctls": [{"name": "net.core.somaxconn", "value": "9"}],
        },
    )
    made = pod_runtime.sandbox(wanted, attempt=2, dns=HOST, log_directory="/logs", cgroup_parent="/boxfleet")
    assert (made.hostname, made.attempt, made.cgroup_parent) == ("b-u-0", 2, "/boxfleet")
    assert made.ports == [runtime.PortMapping(container_port=80, host_port=8080)]
    assert made.sysctls == {"net.core.somaxconn": "9"}
    assert made.supplemental_groups == [6, 5]


def test_the_container() -> None:
    wanted = pod(
        securityContext={"runAsUser": 1, "runAsGroup": 2},
        containers=[{"name": "main", "command": ["sh"], "args": ["$(A)"], "securityContext": {
            "runAsUser": 3, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}],
    )  # fmt: skip
    made = pod_runtime.container(
        wanted,
        wanted.spec.containers[0],
        attempt=1,
        failures=1,
        image="i",
        env={"A": "x"},
        mounts=[],
        limits=runtime.Limits(),
    )
    assert (made.args, made.run_as_user, made.run_as_group) == (["x"], 3, 2)
    assert made.no_new_privileges
    assert made.drop_capabilities == ["ALL"]
    assert made.log_path == "main/1.log"


def test_root_is_refused_where_it_is_forbidden() -> None:
    def refused(user: str, **security: Any) -> str:
        wanted = pod(securityContext={"runAsNonRoot": True, **security})
        return pod_runtime.root_refused(wanted, wanted.spec.containers[0], image_user=user)

    assert "will run as root" in refused("")
    assert "non-numeric" in refused("www-data")
    assert "breaks non-root policy" in refused("", runAsUser=0)
    assert refused("1000:1000") == ""
    assert refused("", runAsUser=7) == ""


def test_the_hosts_file() -> None:
    text = pod_runtime.hosts_file(pod(hostAliases=[{"ip": "1.2.3.4", "hostnames": ["a", "b"]}]), ip="10.0.0.2")
    assert text.endswith("10.0.0.2\tb-u-0\n1.2.3.4\ta b\n")
