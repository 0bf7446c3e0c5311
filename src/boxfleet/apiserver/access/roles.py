"""The authorizer of roles and bindings (RBAC).

What a user may do to a resource is worked out once, for all names, and kept until any role or binding changes. So a
decision is a few look-ups.
"""

from collections.abc import Iterable

import msgspec

from boxfleet.apiserver import authn, authz
from boxfleet.apiserver.access import index, rules

# Users whose rights are kept, and answers for each; beyond them all are worked out anew. The answers that a user can
# bring about by requests are as many as routes and namespaces with bindings, those by questions have no end.
_USERS = 16384
_ANSWERS = 4096

_What = tuple[str, str, str, str]
_NOTHING = authz.Decision(allowed=False)


class _Answer(msgspec.Struct, frozen=True):
    """What may be done to a resource: any name, or these."""

    everything: authz.Decision | None = None
    named: dict[str, authz.Decision] = {}


class _Known:
    """What was worked out about a user, in one namespace or everywhere."""

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


class RoleAuthorizer:
    """Implements authz.Authorizer on an index."""

    def __init__(self, known: index.Index) -> None:
        self._index = known
        self._version = known.version
        self._users: dict[tuple[str, str, tuple[str, ...]], _Known] = {}

    def decide(self, user: authn.User, wish: authz.Attributes) -> authz.Decision:
        """Look in what the user has everywhere, then in the namespace."""
        everywhere = self._known(user, "")
        if not wish.resource:
            return _on_path(everywhere, wish)
        what = (wish.verb, wish.group, wish.resource, wish.subresource)
        answer = everywhere.answer(what)
        if answer.everything is not None:
            return answer.everything
        decision = answer.named.get(wish.name)
        if decision is not None:
            return decision
        if wish.namespace and self._index.has_bindings(wish.namespace):
            within = self._known(user, wish.namespace)
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
        grants = list(self._known(user, "").grants)
        if namespace:
            grants += self._known(user, namespace).grants
        return list(dict.fromkeys(grant.rule for grant in grants))

    def _known(self, user: authn.User, namespace: str) -> _Known:
        self._index.refresh()
        if self._version != self._index.version:
            self._version = self._index.version
            self._users.clear()
        key = (namespace, user.name, user.groups)
        found = self._users.get(key)
        if found is None:
            if len(self._users) >= _USERS:
                self._users.clear()
            found = self._users[key] = _Known(*self._index.grants(user, namespace=namespace))
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
