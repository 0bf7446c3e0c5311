"""Making roles and bindings as plain objects: the default ones of the API and of Boxfleet."""

from collections.abc import Iterable

from boxfleet.api import kind, rbac_rules

AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
_BOOTSTRAP = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"

Words = str | Iterable[str]


def rule(groups: Words, resources: Words, verbs: Words, *, names: Words = ()) -> kind.JsonObject:
    """A rule about resources."""
    return {
        "apiGroups": _listed(groups),
        "resources": _listed(resources),
        "verbs": _listed(verbs),
        **({"resourceNames": _listed(names)} if names else {}),
    }


def paths(urls: Words, verbs: Words) -> kind.JsonObject:
    """A rule about paths that are no resources."""
    return {"nonResourceURLs": _listed(urls), "verbs": _listed(verbs)}


def cluster_role(name: str, rules: Iterable[kind.JsonObject], *, into: Iterable[str] = ()) -> kind.JsonObject:
    """A ClusterRole; `into` names the gathered roles that it is a part of."""
    return _object("ClusterRole", name, labels={_AGGREGATE + each: "true" for each in into}) | {"rules": list(rules)}


def aggregated_role(name: str, parts: Iterable[str], *, into: Iterable[str] = ()) -> kind.JsonObject:
    """A ClusterRole that gathers the parts for roles of these names."""
    selectors = [{"matchLabels": {_AGGREGATE + part: "true"}} for part in parts]
    made = _object("ClusterRole", name, labels={_AGGREGATE + each: "true" for each in into})
    return made | {"aggregationRule": {"clusterRoleSelectors": selectors}}


def cluster_role_binding(name: str, *, group: str = "", user: str = "") -> kind.JsonObject:
    """A ClusterRoleBinding of the role with the same name to a group or a user."""
    subject = {
        "apiGroup": rbac_rules.GROUP,
        "kind": "Group" if group else "User",
        "name": group or user,
    }
    reference = {"apiGroup": rbac_rules.GROUP, "kind": "ClusterRole", "name": name}
    return _object("ClusterRoleBinding", name, labels={}) | {"roleRef": reference, "subjects": [subject]}


def _object(sort: str, name: str, *, labels: dict[str, str]) -> kind.JsonObject:
    return {
        "apiVersion": f"{rbac_rules.GROUP}/v1",
        "kind": sort,
        "metadata": {"name": name, "labels": _BOOTSTRAP | labels, "annotations": {AUTOUPDATE: "true"}},
    }


def _listed(words: Words) -> list[str]:
    return [words] if isinstance(words, str) else list(words)
