"""Which requests are recorded: Kubernetes' audit Policy (audit.k8s.io/v1), with the levels None and Metadata.

The first rule that fits decides. What no rule fits is recorded if it changes something, joins an instance, reads its
log, is said in another's name, or is a refusal; see `Subject.weighty`.
"""

import pathlib
from collections.abc import Iterator, Sequence
from typing import Final, Literal

import msgspec
import yaml

WRITES: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_WEIGHTY_SUBRESOURCES: Final = frozenset({"exec", "attach", "portforward", "log"})


class PolicyError(Exception):
    """The policy cannot be used; the text says where and why."""


class Resources(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Resources of one group, such as ``pods``, ``pods/log``, ``*/status`` or ``*``; none means all of the group."""

    group: str = ""
    resources: tuple[str, ...] = ()
    resourceNames: tuple[str, ...] = ()


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is true of a request, and what then; a list that is empty is true of all."""

    level: Literal["None", "Metadata"]
    users: tuple[str, ...] = ()
    userGroups: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()
    resources: tuple[Resources, ...] = ()
    namespaces: tuple[str, ...] = ()
    nonResourceURLs: tuple[str, ...] = ()


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    apiVersion: Literal["audit.k8s.io/v1"]
    kind: Literal["Policy"]
    rules: tuple[Rule, ...]
    metadata: dict[str, object] = {}


class Subject(msgspec.Struct, frozen=True):
    """What can be said of a request without looking at who sent it; the same for all requests of a route."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""

    @property
    def weighty(self) -> bool:
        """Whether it is recorded unless a rule says otherwise."""
        return bool(self.resource) and (self.verb in WRITES or self.subresource in _WEIGHTY_SUBRESOURCES)

    @property
    def guarded(self) -> bool:
        """Whether it is recorded when it is refused."""
        return self.verb in WRITES or self.verb == "post" or self.resource == "secrets"


# What nodes say of themselves every few seconds.
HEARTBEATS: Final = Rule(
    level="None",
    userGroups=("system:nodes",),
    verbs=("update", "patch"),
    resources=(
        Resources(group="coordination.k8s.io", resources=("leases",)),
        Resources(group="", resources=("nodes/status",)),
    ),
)


class Policy:
    """Decides quickly: the rules that can fit are found once for every kind of request."""

    def __init__(self, rules: Sequence[Rule] = (HEARTBEATS,)) -> None:
        self._rules = tuple(part for rule in rules for part in _parts(rule))
        self._candidates: dict[Subject, tuple[Rule, ...]] = {}

    def may_fit(self, subject: Subject) -> tuple[Rule, ...]:
        """The rules that some request of this kind fits, for `wanted`."""
        found = self._candidates.get(subject)
        if found is None:
            found = self._candidates[subject] = tuple(rule for rule in self._rules if _covers(rule, subject))
        return found


def wanted(
    rules: Sequence[Rule], *, user: str, groups: Sequence[str], namespace: str, name: str, path: str
) -> bool | None:
    """Whether the first rule that fits wants a record; None when none fits."""
    for rule in rules:
        if rule.users and user not in rule.users:
            continue
        if rule.userGroups and not any(group in rule.userGroups for group in groups):
            continue
        if rule.namespaces and namespace not in rule.namespaces:
            continue
        if rule.nonResourceURLs and not any(_path_fits(pattern, path) for pattern in rule.nonResourceURLs):
            continue
        if rule.resources and rule.resources[0].resourceNames and name not in rule.resources[0].resourceNames:
            continue
        return rule.level == "Metadata"
    return None


def load(path: pathlib.Path) -> Policy:
    """Read a policy from a YAML file; raises PolicyError."""
    try:
        return parse(yaml.safe_load(path.read_text()))
    except OSError as error:
        raise PolicyError(f"cannot read the audit policy {path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise PolicyError(f"cannot read the audit policy {path}: {error}") from None
    except PolicyError as error:
        raise PolicyError(f"cannot use the audit policy {path}: {error}") from None


def parse(document: object) -> Policy:
    """A policy from plain data; raises PolicyError."""
    try:
        return Policy(msgspec.convert(document, _Document).rules)
    except msgspec.ValidationError as error:
        raise PolicyError(f"{error} (levels are None and Metadata: bodies are never recorded)") from None


def _parts(rule: Rule) -> Iterator[Rule]:
    """The same, with one group's resources in each."""
    if len(rule.resources) < 2:
        yield rule
    for each in rule.resources if len(rule.resources) > 1 else ():
        yield msgspec.structs.replace(rule, resources=(each,))


def _covers(rule: Rule, subject: Subject) -> bool:
    if rule.verbs and subject.verb not in rule.verbs:
        return False
    if rule.nonResourceURLs and subject.resource:
        return False
    if rule.resources:
        return bool(subject.resource) and any(_names(each, subject) for each in rule.resources)
    # A rule about namespaces says nothing of what is in none.
    return not rule.namespaces or bool(subject.resource)


def _names(resources: Resources, subject: Subject) -> bool:
    if resources.group != subject.group:
        return False
    if not resources.resources:
        return True
    whole = f"{subject.resource}/{subject.subresource}" if subject.subresource else subject.resource
    return any(
        pattern in ("*", whole)
        or (pattern.startswith("*/") and bool(subject.subresource) and pattern[2:] == subject.subresource)
        or (pattern.endswith("/*") and pattern[:-2] == subject.resource)
        for pattern in resources.resources
    )


def _path_fits(pattern: str, path: str) -> bool:
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else path == pattern
