"""All of authorization put together: what the API server asks."""

from collections.abc import Collection, Iterable
from typing import Any

from boxfleet.api import kind as kinds
from boxfleet.apiserver import authn, authz, node_limits, node_scope, registry
from boxfleet.apiserver.access import defaults, escalation, index, nodes, reconciling, roles

JsonObject = dict[str, Any]


class Rights:
    """Who may do what. `node_reads` are further resources (``group/resource``) that every agent reads."""

    def __init__(self, objects: registry.Registry, *, node_reads: Collection[str]) -> None:
        self._objects = objects
        known = index.Index(objects.store)
        self.roles = roles.RoleAuthorizer(known)
        self.nodes = nodes.NodeAuthorizer(node_scope.InStore(objects), reads=node_reads)
        self.authorizer = authz.Union([authz.MasterAuthorizer(), self.nodes, self.roles])
        self._escalation = escalation.Escalation(known, self.roles, self.authorizer)

    async def start(self, further: Iterable[JsonObject]) -> None:
        """Make the default roles whole; `further` are those of the application."""
        await reconciling.reconcile(self._objects, [*defaults.objects(node_rules=self.nodes.rules()), *further])

    def check_write(
        self, user: authn.User, kind: kinds.Kind, new: JsonObject, old: JsonObject | None, *, subresource: str = ""
    ) -> None:
        """Raise Fault 403 for what a user may not write, although he may write such objects."""
        node_limits.check(user, kind, new, old, subresource=subresource)
        self._escalation.check(user, kind, new, old)

    def check_create(self, user: authn.User, kind: kinds.Kind, *, namespace: str, name: str) -> None:
        """Raise Fault 403 when the user may not create that object."""
        wish = authz.Attributes(verb="create", group=kind.group, resource=kind.plural, namespace=namespace, name=name)
        decision = self.authorizer.decide(user, wish)
        if not decision.allowed:
            raise authz.refusal(user, wish, reason=decision.reason)
