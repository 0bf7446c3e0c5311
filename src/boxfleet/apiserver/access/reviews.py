"""Answers to questions about rights and identity: ``kubectl auth can-i``, ``auth whoami``, TokenReview."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from boxfleet.api import kind as kinds
from boxfleet.api import reviews
from boxfleet.apiserver import authn, authz, faults, objects, options, route, writing
from boxfleet.apiserver.access import questions, rights, rules

JsonObject = dict[str, Any]
_Answer = Callable[[route.Call, JsonObject], Awaitable[JsonObject]]


class Reviews:
    """Handlers of all reviews."""

    def __init__(self, known: rights.Rights, writing: writing.Writing, authenticator: authn.Authenticator) -> None:
        self._rights = known
        self._writing = writing
        self._authenticator = authenticator

    def routes(self) -> list[route.Route]:
        """One for each kind of question."""
        asked: tuple[tuple[type[Any], _Answer], ...] = (
            (reviews.SubjectAccessReview, self._of_subject(reviews.SubjectAccessReview.KIND)),
            (reviews.LocalSubjectAccessReview, self._of_subject(reviews.LocalSubjectAccessReview.KIND)),
            (reviews.SelfSubjectAccessReview, self._of_self),
            (reviews.SelfSubjectRulesReview, self._rules),
            (reviews.SelfSubjectReview, self._who),
            (reviews.SelfSubjectReviewV1Beta1, self._who),
            (reviews.TokenReview, self._token),
        )
        return [self._route(type_.KIND, answer) for type_, answer in asked]

    def _route(self, kind: kinds.Kind, answer: _Answer) -> route.Route:
        async def handle(call: route.Call) -> route.Answer:
            wanted = options.for_write(call, type_name="CreateOptions")
            obj = await self._writing.read_body(call)
            objects.check_type(kind, obj)
            # That is for the answer; clients in Go write an empty one, whose lists are null.
            obj.pop("status", None)
            self._writing.check_schema(kind, obj, name="", wanted=wanted, warnings=call.warnings)
            if kind.namespaced:
                data = obj["metadata"] = obj.get("metadata") or {}
                if data.setdefault("namespace", call.params["namespace"]) != call.params["namespace"]:
                    raise faults.bad_request(
                        "the namespace of the provided object does not match the namespace sent on the request"
                    )
            status = await answer(call, obj)
            # The metadata's empty form is the one that clients in Go know.
            shown = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": {"creationTimestamp": None}}
            shown["metadata"] |= obj.get("metadata") or {}  # type: ignore[operator]
            spec = {"spec": obj["spec"]} if "spec" in obj else {}
            return route.Answer(status=201, body=msgspec.json.encode(shown | spec | {"status": status}))

        where = f"/apis/{kind.group}/{kind.version}"
        where += f"/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"/{kind.plural}"
        access = route.Access(verb="create", group=kind.group, resource=kind.plural)
        return route.Route(method="POST", path=where, access=access, handle=handle)

    def _of_subject(self, kind: kinds.Kind) -> _Answer:
        async def answer(call: route.Call, obj: JsonObject) -> JsonObject:
            _check(kind, obj)
            return self._decided(questions.subject(obj["spec"]), obj["spec"])

        return answer

    async def _of_self(self, call: route.Call, obj: JsonObject) -> JsonObject:
        _check(reviews.SelfSubjectAccessReview.KIND, obj)
        return self._decided(call.user, obj["spec"])

    def _decided(self, user: authn.User, spec: JsonObject) -> JsonObject:
        decision = self._rights.authorizer.decide(user, questions.wish(spec))
        return {"allowed": decision.allowed, **({"reason": decision.reason} if decision.reason else {})}

    async def _rules(self, call: route.Call, obj: JsonObject) -> JsonObject:
        namespace = (obj.get("spec") or {}).get("namespace", "")
        if not namespace:
            raise faults.bad_request("no namespace on request")
        known = self._rights.roles.rules_of(call.user, namespace=namespace)
        status: JsonObject = {"resourceRules": [], "nonResourceRules": [], "incomplete": False}
        if authz.MASTERS in call.user.groups:
            known.append(rules.Rule(verbs=("*",), apiGroups=("*",), resources=("*",)))
            known.append(rules.Rule(verbs=("*",), nonResourceURLs=("*",)))
        elif authz.node_of(call.user):
            known += self._rights.nodes.rules()
            status |= {
                "incomplete": True,
                "evaluationError": "the node authorizer allows it only as far as it concerns the node itself",
            }
        for rule in dict.fromkeys(known):
            where = "nonResourceRules" if rule.nonResourceURLs else "resourceRules"
            status[where].append({key: value for key, value in msgspec.to_builtins(rule).items() if value})
        return status

    async def _who(self, call: route.Call, obj: JsonObject) -> JsonObject:
        return {"userInfo": _info(call.user)}

    async def _token(self, call: route.Call, obj: JsonObject) -> JsonObject:
        token = (obj.get("spec") or {}).get("token", "")
        if not token:
            raise faults.bad_request("token is required for TokenReview in authentication")
        user = None
        fitting: list[str] = []
        # Without audiences it is asked whether the token is for this API.
        for audience in obj["spec"].get("audiences") or [""]:
            audiences = (audience,) if audience else ()
            found = await self._authenticator.authenticate(authn.shown_token(token, audiences=audiences))
            if found is not None:
                user = found
                fitting += audiences
        if user is None:
            return {"user": {}, "error": "invalid bearer token"}
        return {"authenticated": True, "user": _info(user), **({"audiences": fitting} if fitting else {})}


def _check(kind: kinds.Kind, obj: JsonObject) -> None:
    found = questions.errors(kind, obj)
    if found:
        raise faults.invalid(kind, "", found)


def _info(user: authn.User) -> JsonObject:
    return {
        "username": user.name,
        **({"uid": user.uid} if user.uid else {}),
        "groups": list(user.groups),
        **({"extra": {key: list(values) for key, values in user.extra}} if user.extra else {}),
    }
