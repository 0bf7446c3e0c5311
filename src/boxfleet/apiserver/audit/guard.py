"""Who may stop the recording of sessions in a namespace: not those whose sessions they are.

Taking the label away takes the right to update ``namespaces/recording`` in the whole cluster, which the role
platform-admin has. The right to change Namespaces, or everything in one namespace, is not enough.
"""

from boxfleet.api import kind as kinds
from boxfleet.apiserver import authn, authz
from boxfleet.apiserver.audit import marks


def check(
    user: authn.User,
    kind: kinds.Kind,
    new: kinds.JsonObject,
    old: kinds.JsonObject | None,
    authorizer: authz.Authorizer,
) -> None:
    """Raise Fault 403 when a write ends the recording and its user may not."""
    if old is None or kind.plural != "namespaces" or kind.group or not _records(old) or _records(new):
        return
    wish = authz.Attributes(verb="update", resource="namespaces", subresource="recording", name=old["metadata"]["name"])
    decision = authorizer.decide(user, wish)
    if not decision.allowed:
        raise authz.refusal(user, wish, reason=decision.reason)


def _records(namespace: kinds.JsonObject) -> bool:
    return (namespace["metadata"].get("labels") or {}).get(marks.RECORD) == "true"
