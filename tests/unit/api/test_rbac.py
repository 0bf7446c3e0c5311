import datetime
from typing import Any

from boxfleet.api import rbac

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
RULE = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
TO = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}


def errors(type_: Any, obj: dict[str, Any], old: dict[str, Any] | None = None) -> dict[str, str]:
    obj = {"metadata": {"name": "a"}} | obj
    type_.KIND.default(obj)
    return {error.field: error.message for error in type_.KIND.validate(obj, old)}


def test_rules_of_roles() -> None:
    assert errors(rbac.Role, {"rules": [RULE]}) == errors(rbac.Role, {}) == errors(rbac.Role, {"rules": None}) == {}
    assert errors(rbac.Role, {"rules": [{}]}) == {
        "rules[0].verbs": "Required value: verbs must contain at least one value",
        "rules[0].apiGroups": "Required value: resource rules must supply at least one api group",
        "rules[0].resources": "Required value: resource rules must supply at least one resource",
    }
    paths = {"nonResourceURLs": ["/metrics"], "verbs": ["get"]}
    assert "namespaced rules cannot" in errors(rbac.Role, {"rules": [paths]})["rules[0].nonResourceURLs"]
    assert errors(rbac.ClusterRole, {"rules": [paths]}) == {}
    assert "cannot apply to both" in errors(rbac.ClusterRole, {"rules": [paths | RULE]})["rules[0].nonResourceURLs"]


def test_gathered_roles_say_by_which_labels() -> None:
    def gathered(selector: Any) -> dict[str, str]:
        return errors(rbac.ClusterRole, {"aggregationRule": {"clusterRoleSelectors": selector}})

    assert list(gathered([])) == list(gathered(None)) == ["aggregationRule.clusterRoleSelectors"]
    assert gathered([{"matchLabels": {"a/b": "c"}}, {"matchExpressions": [{"key": "a", "operator": "Exists"}]}]) == {}
    wrong = [{"key": "a", "operator": "In"}, {"key": "a", "operator": "Exists", "values": ["x"]}, {"key": "-"}]
    found = gathered([{"matchExpressions": wrong}])
    begin = "aggregationRule.clusterRoleSelectors[0].matchExpressions"
    assert list(found) == [f"{begin}[0].values", f"{begin}[1].values", f"{begin}[2].operator", f"{begin}[2].key"]


def test_bindings_refer_to_roles() -> None:
    assert errors(rbac.RoleBinding, {"roleRef": {"kind": "Role", "name": "reader"}}) == {}
    assert errors(rbac.RoleBinding, {"roleRef": {"kind": "User"}}) == {
        "roleRef.kind": 'Unsupported value: "User": supported values: "ClusterRole", "Role"',
        "roleRef.name": "Required value",
    }
    assert list(errors(rbac.ClusterRoleBinding, {"roleRef": TO})) == ["roleRef.kind"]
    assert list(errors(rbac.RoleBinding, {"roleRef": TO | {"apiGroup": "x", "name": "a/b"}})) == [
        "roleRef.apiGroup",
        "roleRef.name",
    ]
    assert errors(rbac.RoleBinding, {"roleRef": TO | {"name": "other"}}, {"roleRef": TO})["roleRef"] == (
        'Invalid value: rbac.RoleRef{APIGroup:"rbac.authorization.k8s.io", Kind:"Role", Name:"other"}: '
        "cannot change roleRef"
    )


def test_subjects() -> None:
    def subjects(type_: Any, *given: dict[str, str]) -> list[str]:
        return list(errors(type_, {"roleRef": TO | {"kind": "ClusterRole"}, "subjects": list(given)}))

    account = {"kind": "ServiceAccount", "name": "a"}
    good = [{"kind": "User", "name": "a"}, {"kind": "Group", "name": "a:b"}, account | {"namespace": "x"}]
    assert subjects(rbac.ClusterRoleBinding, *good) == subjects(rbac.RoleBinding, *good, account) == []
    assert subjects(rbac.ClusterRoleBinding, account) == ["subjects[0].namespace"]
    assert subjects(
        rbac.RoleBinding, {"kind": "Robot", "name": "a"}, {"kind": "User"}, account | {"apiGroup": "x", "name": "A"}
    ) == ["subjects[0].kind", "subjects[1].name", "subjects[2].name", "subjects[2].apiGroup"]
    assert subjects(rbac.RoleBinding, {"kind": "User", "name": "a", "apiGroup": "x"}) == ["subjects[0].apiGroup"]


def test_names_are_segments_of_paths() -> None:
    fault = rbac.ClusterRole.KIND.name_fault
    assert fault is not None
    assert fault("system:node") is None
    for name in (".", "..", "a/b", "a%b"):
        assert fault(name) is not None


def test_columns_of_bindings() -> None:
    obj = {
        "roleRef": TO,
        "subjects": [
            {"kind": "User", "name": "u"},
            {"kind": "User", "name": "v"},
            {"kind": "ServiceAccount", "name": "s", "namespace": "n"},
        ],
    }
    cells = {
        each.name: each.cell(obj, NOW) for each in rbac.RoleBinding.KIND.columns if each.cell and each.name != "Age"
    }
    assert cells == {"Role": "Role/reader", "Users": "u, v", "Groups": "", "ServiceAccounts": "n/s"}
