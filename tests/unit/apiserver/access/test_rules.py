"""The matcher against a plain re-reading of what Kubernetes' documentation says of a rule."""

import itertools

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from boxfleet.apiserver.access import rules

VERBS = ("get", "list", "delete", "*")
GROUPS = ("", "apps", "*")
RESOURCES = ("pods", "pods/log", "boxes", "boxes/scale", "*/scale", "*/log", "*")
NAMES = ("a", "b", "")
PATHS = ("/", "/livez", "/livez/etcd", "/apis", "/apis/x", "/metrics")
PATTERNS = ("/", "/livez", "/livez/*", "/apis*", "*", "/m*")


def words(values: tuple[str, ...], least: int = 0) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), min_size=least, max_size=3, unique=True).map(tuple)


RESOURCE_RULES = st.builds(
    rules.Rule,
    verbs=words(VERBS, 1),
    apiGroups=words(GROUPS, 1),
    resources=words(RESOURCES, 1),
    resourceNames=words(NAMES[:2]),
)
PATH_RULES = st.builds(rules.Rule, verbs=words(VERBS, 1), nonResourceURLs=words(PATTERNS, 1))
RULES = st.one_of(RESOURCE_RULES, PATH_RULES)
WISHES = tuple(itertools.product(VERBS[:3], ("", "apps", "other"), ("pods", "boxes"), ("", "log", "scale")))


def allows(rule: rules.Rule, verb: str, group: str, resource: str, part: str, name: str) -> bool:
    """The documentation, word by word."""
    if not any(each in ("*", verb) for each in rule.verbs):
        return False
    if not any(each in ("*", group) for each in rule.apiGroups or ()):
        return False
    for each in rule.resources or ():
        outer, slash, inner = each.partition("/")
        whole = each == "*"
        same = outer == resource and inner == part and bool(slash) == bool(part)
        any_part = outer == "*" and bool(slash) and bool(part) and inner == part
        if whole or same or any_part:
            break
    else:
        return False
    return not rule.resourceNames or name in rule.resourceNames


def allows_path(rule: rules.Rule, verb: str, path: str) -> bool:
    if verb not in rule.verbs and "*" not in rule.verbs:
        return False
    for pattern in rule.nonResourceURLs or ():
        if pattern == path or (pattern[-1] == "*" and path[: len(pattern) - 1] == pattern[:-1]):
            return True
    return False


@given(RULES, st.sampled_from(WISHES), st.sampled_from(NAMES))
def test_a_rule_allows_what_it_says(rule: rules.Rule, wish: tuple[str, str, str, str], name: str) -> None:
    verb, group, resource, part = wish
    about = rules.is_about(rule, verb=verb, group=group, resource=resource, subresource=part)
    found = about and (not rule.resourceNames or name in rule.resourceNames)
    assert found == allows(rule, verb, group, resource, part, name)


@given(RULES, st.sampled_from(VERBS[:3]), st.sampled_from(PATHS))
def test_a_rule_allows_the_paths_that_it_says(rule: rules.Rule, verb: str, path: str) -> None:
    assert rules.allows_path(rule, verb=verb, path=path) == allows_path(rule, verb, path)


@settings(max_examples=300)
@given(st.lists(RULES, max_size=4), st.lists(RULES, min_size=1, max_size=2))
def test_what_is_covered_gives_nothing_new(owned: list[rules.Rule], wanted: list[rules.Rule]) -> None:
    if rules.missing(owned, wanted):
        return
    for (verb, group, resource, part), name in itertools.product(WISHES, ("a", "b", "c", "")):
        if any(allows(rule, verb, group, resource, part, name) for rule in wanted):
            assert any(allows(rule, verb, group, resource, part, name) for rule in owned)
    for verb, path in itertools.product(VERBS[:3], PATHS):
        if any(allows_path(rule, verb, path) for rule in wanted):
            assert any(allows_path(rule, verb, path) for rule in owned)


@given(st.lists(RULES, min_size=1, max_size=4))
def test_everybody_may_give_what_he_has(owned: list[rules.Rule]) -> None:
    assert rules.missing(owned, owned) == []
    assert rules.missing(owned, rules.missing([], owned)) == []


@given(st.lists(RULES, min_size=1, max_size=3))
def test_compact_pieces_say_the_same(wanted: list[rules.Rule]) -> None:
    pieces = rules.missing([], wanted)
    together = rules.compact(pieces)
    assert set(rules.missing([], together)) == set(pieces)
    assert all(rules.shown(each).startswith("{") for each in together)


def test_how_a_rule_is_shown() -> None:
    rule = rules.Rule(verbs=("get", "list"), apiGroups=("",), resources=("pods",), resourceNames=("a",))
    assert rules.shown(rule) == '{APIGroups:[""], Resources:["pods"], ResourceNames:["a"], Verbs:["get" "list"]}'
    assert msgspec.json.decode(b'{"verbs":["get"],"resources":null}', type=rules.Rule) is not None
