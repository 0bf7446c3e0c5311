"""All of authorization put together: what the API server asks."""

from collections.abc import Collection, Iterable
from typing import Any

from boxfleet.api import kind as kinds
from boxfleet.apiserver import authn, authz, faults, node_limits, node_scope, registry
from boxfleet.apiserver.access import defaults, escalation, index, nodes, reconciling, roles
from boxfleet.apiserver.audit import guard
from boxfleet.apiserver.identity import signing_requests

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
        signing_requests.stamp(user, kind, new, old)
        node_limits.check(user, kind, new, old, subresource=subresource)
        self._escalation.check(user, kind, new, old)
        guard.check(user, kind, new, old, self.authorizer)

    def check_approval(self, user: authn.User, kind: kinds.Kind, request: JsonObject) -> None:
        """Raise Fault 403 when the user may not approve for the signer of a request, nor for all of its domain."""
        signer = request["spec"]["signerName"]
        for name in (signer, f"{signer.partition('/')[0]}/*"):
            wish = authz.Attributes(verb="approve", group=kind.group, resource="signers", name=name)
            if self.authorizer.decide(user, wish).allowed:
                return
        name = request["metadata"]["name"]
        raise faults.forbidden(kind, name, f'user not permitted to approve requests with signerName "{signer}"')

    def check_create(self, user: authn.User, kind: kinds.Kind, *, namespace: str, name: str) -> None:
        """Raise Fault 403 when the user may not create that object."""
        wish = authz.Attributes(verb="create", group=kind.group, resource=kind.plural, namespace=namespace, name=name)
        decision = self.authorizer.decide(user, wish)
        if not decision.allowed:
            raise authz.refusal(user, wish, reason=decision.reason)
