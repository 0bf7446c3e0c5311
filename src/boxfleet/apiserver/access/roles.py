"""The authorizer of roles and bindings (RBAC).

What a user may do to a resource is worked out once, for all names, and kept until any role or binding changes. So a
decision is a few look-ups.
"""

from collections.abc import Iterable

import msgspec

from boxfleet.apiserver import authn, authz
from boxfleet.apiserver.access import index, rules

# Users whose rights are kept, and answers for each; beyond them all are worked out anew. Requests can bring about as
# many answers as there are routes; those that questions can bring about have no end.
_USERS = 16384
_ANSWERS = 4096

_What = tuple[str, str, str, str]
_NOTHING = authz.Decision(allowed=False)


class _Answer(msgspec.Struct, frozen=True):
    """What may be done to a resource: any name, or these."""

    everything: authz.Decision | None = None
    named: dict[str, authz.Decision] = {}


class _Known:
    """What was worked out about subjects, in one namespace or everywhere."""

    __slots__ = ("answers", "grants", "refusal")

    def __init__(self, grants: list[index.Grant], lost: list[str]) -> None:
        self.grants = grants
        self.answers: dict[_What, _Answer] = {}
        text = lost[0] if len(lost) == 1 else f"[{', '.join(lost)}]"
        self.refusal = authz.Decision(allowed=False, reason=f"RBAC: {text}") if lost else _NOTHING

    def answer(self, what: _What) -> _Answer:
        found = self.answers.get(what)
        if found is None:
            if len(self.answers) >= _ANSWERS:
                self.answers.clear()
            found = self.answers[what] = _answer(self.grants, what)
        return found


class _Person:
    """What was worked out about a user."""

    __slots__ = ("bound", "everywhere", "subjects", "within")

    def __init__(self, known: index.Index, user: authn.User) -> None:
        self.subjects = index.subjects_of(user)
        self.bound = known.bound(self.subjects)
        self.everywhere = _Known(*known.grants(self.subjects, namespace=""))
        # Namespaces where the user has something, once they were asked for.
        self.within: dict[str, _Known] = {}

    def has(self, namespace: str) -> bool:
        """Whether anything is bound there."""
        # A loop: this is asked for each decision.
        for given in self.bound:  # noqa: SIM110
            if namespace in given:
                return True
        return False


class RoleAuthorizer:
    """Implements authz.Authorizer on an index."""

    def __init__(self, known: index.Index) -> None:
        self._index = known
        self._version = known.version
        self._users: dict[tuple[str, tuple[str, ...]], _Person] = {}

    def decide(self, user: authn.User, wish: authz.Attributes) -> authz.Decision:
        """Look in what the user has everywhere, then in the namespace."""
        person = self._person(user)
        everywhere = person.everywhere
        if not wish.resource:
            return _on_path(everywhere, wish)
        what = (wish.verb, wish.group, wish.resource, wish.subresource)
        answer = everywhere.answer(what)
        if answer.everything is not None:
            return answer.everything
        decision = answer.named.get(wish.name)
        if decision is not None:
            return decision
        within = self._within(person, wish.namespace)
        if within is not None:
            answer = within.answer(what)
            if answer.everything is not None:
                return answer.everything
            decision = answer.named.get(wish.name)
            if decision is not None:
                return decision
            if within.refusal.reason:
                return within.refusal
        return everywhere.refusal

    def rules_of(self, user: authn.User, *, namespace: str) -> list[rules.Rule]:
        """All rules that a user has in a namespace, or everywhere when it is empty."""
        person = self._person(user)
        grants = list(person.everywhere.grants)
        within = self._within(person, namespace)
        if within is not None:
            grants += within.grants
        return list(dict.fromkeys(grant.rule for grant in grants))

    def _within(self, person: _Person, namespace: str) -> _Known | None:
        found = person.within.get(namespace)
        if found is None and namespace and person.has(namespace):
            grants, lost = self._index.grants(person.subjects, namespace=namespace)
            found = person.within[namespace] = _Known(grants, lost)
        return found

    def _person(self, user: authn.User) -> _Person:
        self._index.refresh()
        if self._version != self._index.version:
            self._version = self._index.version
            self._users.clear()
        key = (user.name, user.groups)
        found = self._users.get(key)
        if found is None:
            if len(self._users) >= _USERS:
                self._users.clear()
            found = self._users[key] = _Person(self._index, user)
        return found


def _answer(grants: Iterable[index.Grant], what: _What) -> _Answer:
    verb, group, resource, subresource = what
    named: dict[str, authz.Decision] = {}
    for grant in grants:
        rule = grant.rule
        if not rules.is_about(rule, verb=verb, group=group, resource=resource, subresource=subresource):
            continue
        decision = authz.Decision(allowed=True, reason=grant.reason)
        if not rule.resourceNames:
            return _Answer(everything=decision)
        for name in rule.resourceNames:
            named.setdefault(name, decision)
    return _Answer(named=named)


def _on_path(known: _Known, wish: authz.Attributes) -> authz.Decision:
    for grant in known.grants:
        if grant.rule.nonResourceURLs and rules.allows_path(grant.rule, verb=wish.verb, path=wish.path):
            return authz.Decision(allowed=True, reason=grant.reason)
    return known.refusal
