"""Tokens in the volumes of Pods, and who gets one."""

import base64
import json
from typing import Any

import pytest

from boxfleet.api import address, admission, meta, pod, pod_sources, service_account
from boxfleet.planning import account_admission, environment, pod_tokens, records
from boxfleet.ports import network


class Look:
    """The ServiceAccounts that there are."""

    def __init__(self, **accounts: bool | None) -> None:
        self._accounts = accounts

    def find(self, type: Any, name: str, *, namespace: str = "") -> Any:
        if name not in self._accounts:
            return None
        info = meta.ObjectMeta(name=name, namespace=namespace)
        return service_account.ServiceAccount(metadata=info, automountServiceAccountToken=self._accounts[name])


def admitted(look: Look, **spec: Any) -> dict[str, Any]:
    wish = {"metadata": {"name": "one", "namespace": "shop"}, "spec": {"containers": [{"name": "main"}], **spec}}
    account_admission.default(wish, None, look)  # type: ignore[arg-type]
    return wish["spec"]


def mounted(spec: dict[str, Any]) -> list[list[str]]:
    return [[one["mountPath"] for one in each.get("volumeMounts", [])] for each in spec["containers"]]


def test_a_pod_gets_its_account_and_a_token() -> None:
    spec = admitted(Look(default=None), initContainers=[{"name": "first"}])
    assert (spec["serviceAccountName"], spec["serviceAccount"]) == ("default", "default")
    (volume,) = spec["volumes"]
    assert volume["name"].startswith("kube-api-access-") and len(volume["name"]) == 21
    token, root, downward = volume["projected"]["sources"]
    assert token == {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}
    assert root["configMap"] == {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    assert downward["downwardAPI"]["items"][0]["path"] == "namespace"
    for each in (*spec["containers"], *spec["initContainers"]):
        (mount,) = each["volumeMounts"]
        assert mount == {"name": volume["name"], "readOnly": True, "mountPath": account_admission.MOUNT_PATH}
    # A manifest that went through here already gets nothing twice.
    again = admitted(Look(default=None), volumes=spec["volumes"], containers=spec["containers"])
    assert (again["volumes"], mounted(again)) == (spec["volumes"], mounted(spec))


@pytest.mark.parametrize(
    ("account", "own", "gets"),
    [(None, None, True), (True, None, True), (False, None, False), (False, True, True), (True, False, False)],
)
def test_the_pod_decides_before_its_account(account: bool | None, own: bool | None, *, gets: bool) -> None:
    spec = admitted(Look(default=account), automountServiceAccountToken=own)
    assert bool(spec.get("volumes")) == gets
    assert mounted(spec) == [[account_admission.MOUNT_PATH] if gets else []]


def test_what_is_mounted_there_already_stays() -> None:
    own = {"name": "main", "volumeMounts": [{"name": "mine", "mountPath": account_admission.MOUNT_PATH}]}
    assert "volumes" not in admitted(Look(default=None), containers=[own])


def test_without_its_account_a_pod_is_refused_but_a_new_namespace_has_none_yet() -> None:
    with pytest.raises(admission.Refused, match='shop/robot: serviceaccount "robot" not found'):
        admitted(Look(default=None), serviceAccountName="robot")
    assert admitted(Look())["volumes"]


def test_updates_are_left_alone() -> None:
    old = {"metadata": {"name": "one"}, "spec": {"containers": [{"name": "main"}]}}
    new = json.loads(json.dumps(old))
    account_admission.default(new, old, Look())  # type: ignore[arg-type]
    assert new == old


def test_a_token_is_renewed_at_four_fifths_of_its_life_and_once_a_day() -> None:
    assert pod_tokens.Token(text="", issued=1000.0, expires=2000.0).renewal == 1800.0
    assert pod_tokens.Token(text="", issued=0.0, expires=366 * 86400.0).renewal == 86400.0
    assert "secret" not in repr(pod_tokens.Token(text="secret", issued=0.0, expires=1.0))


def test_a_token_is_read_from_its_file() -> None:
    body = base64.urlsafe_b64encode(json.dumps({"iat": 5, "exp": 10, "sub": "x"}).encode()).decode().rstrip("=")
    assert pod_tokens.read(f"a.{body}.c") == pod_tokens.Token(text=f"a.{body}.c", issued=5, expires=10)
    for broken in ("", "a", "a.b.c", "a.!.c", "a.e30.c"):
        assert pod_tokens.read(broken) is None


def test_the_user_of_a_token_is_the_one_of_all_containers() -> None:
    def owner(whole: int | None, *own: int | None) -> int | None:
        return pod_tokens.owner(
            pod.PodSpec(
                securityContext=pod.PodSecurityContext(runAsUser=whole),
                containers=[
                    pod.Container(name="main", securityContext=pod.SecurityContext(runAsUser=each)) for each in own
                ],
            )
        )

    assert owner(7, None, None) == 7
    assert owner(None, 8, 8) == 8
    assert owner(7, 8, None) is None
    assert owner(None, None) is None


def test_every_container_is_told_where_the_api_is_unless_it_says_otherwise() -> None:
    facts = environment.Facts(pod=pod.Pod(metadata=meta.ObjectMeta()), common=environment.way_to_api("10.88.0.1", 7443))
    plain = environment.build(pod.Container(name="main"), facts)
    assert (plain["KUBERNETES_SERVICE_HOST"], plain["KUBERNETES_SERVICE_PORT"]) == ("10.88.0.1", "7443")
    own = pod.Container(name="main", env=[pod_sources.EnvVar(name="KUBERNETES_SERVICE_HOST", value="elsewhere")])
    assert environment.build(own, facts)["KUBERNETES_SERVICE_HOST"] == "elsewhere"
    assert environment.way_to_api("", 7443) == {}


def test_the_api_has_its_name_alone() -> None:
    thief = address.Address(
        metadata=meta.ObjectMeta(name="10.88.0.9"),
        spec=address.AddressSpec(pool="default", domain="kubernetes.default.svc.fleet.internal"),
    )
    found = records.of([thief], suffix="fleet.internal", api="10.88.0.1")
    assert found == {network.Record("kubernetes.default.svc.fleet.internal", "10.88.0.1")}
    assert records.of([], suffix="fleet.internal", api="") == frozenset()
