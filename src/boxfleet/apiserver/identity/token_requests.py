"""``serviceaccounts/token``: authentication.k8s.io/v1 TokenRequest."""

import datetime
from typing import Any

import msgspec

from boxfleet.api import fields
from boxfleet.api import kind as kinds
from boxfleet.apiserver import authn, authz, bodies, faults, objects, options, registry, route
from boxfleet.apiserver.identity import accounts
from boxfleet.kit import clock as clocks
from boxfleet.store import store as stores

JsonObject = dict[str, Any]

KIND = kinds.Kind(
    group="authentication.k8s.io",
    version="v1",
    kind="TokenRequest",
    plural="tokenrequests",
    singular="tokenrequest",
    namespaced=True,
)
_DEFAULT_SECONDS = 3600
_SHORTEST_SECONDS = 600
# Longer wishes get this: keys that were replaced are kept a little longer.
LONGEST_SECONDS = 366 * 86400
_MOST_AUDIENCES = 32


class _Reference(msgspec.Struct):
    kind: str = ""
    apiVersion: str = ""
    name: str = ""
    uid: str = ""


class _Spec(msgspec.Struct):
    audiences: list[str] | None = None
    expirationSeconds: int | None = None
    boundObjectRef: _Reference | None = None


class _Meta(msgspec.Struct):
    name: str = ""
    namespace: str = ""


class _Request(msgspec.Struct):
    metadata: _Meta | None = None
    spec: _Spec | None = None


class _Identity(msgspec.Struct):
    uid: str


class _PodSpec(msgspec.Struct):
    nodeName: str = ""
    serviceAccountName: str = ""


class _Found(msgspec.Struct):
    """An object that a token names; of a Pod also where it runs, and as whom."""

    metadata: _Identity
    spec: _PodSpec = msgspec.field(default_factory=_PodSpec)


_found = msgspec.json.Decoder(_Found)


class TokenRequests:
    """Makes tokens for whoever may."""

    def __init__(self, store: stores.Store, known: accounts.Accounts, *, clock: clocks.Clock) -> None:
        self._store = store
        self._accounts = known
        self._clock = clock

    def routes(self) -> list[route.Route]:
        """Where they are asked for."""
        path = "/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        access = route.Access(verb="create", resource="serviceaccounts", subresource="token")
        return [route.Route(method="POST", path=path, access=access, handle=self.create)]

    async def create(self, call: route.Call) -> route.Answer:
        """A token of a ServiceAccount."""
        wanted = options.for_write(call, type_name="CreateOptions")
        namespace, name = call.params["namespace"], call.params["name"]
        asked, bound_ref = _read(bodies.decode_as(call, await bodies.read(call)), namespace, name)
        account = self._find(accounts.ACCOUNT, namespace, name)
        bound = self._bound(bound_ref, namespace, name)
        _check_node(call.user, name, bound)
        seconds = min(asked.expirationSeconds or _DEFAULT_SECONDS, LONGEST_SECONDS)
        audiences = asked.audiences or [self._accounts.issuer]
        token = ""
        if not wanted.dry_run:
            token = self._accounts.bound_token(
                namespace=namespace,
                name=name,
                uid=account.metadata.uid,
                audiences=audiences,
                seconds=seconds,
                bound=bound,
            )
        now = self._clock.now()
        answer = {
            "kind": KIND.kind,
            "apiVersion": KIND.api_version,
            "metadata": {"name": name, "namespace": namespace, "creationTimestamp": clocks.stamp(now)},
            "spec": {
                "audiences": audiences,
                "expirationSeconds": seconds,
                "boundObjectRef": msgspec.to_builtins(bound_ref) if bound_ref is not None else None,
            },
            "status": {
                "token": token,
                "expirationTimestamp": clocks.stamp(now + datetime.timedelta(seconds=seconds)),
            },
        }
        return route.Answer(status=201, body=msgspec.json.encode(answer), headers=[("cache-control", "no-store")])

    def _bound(self, ref: _Reference | None, namespace: str, account: str) -> accounts.Bound | None:
        if ref is None:
            return None
        kind = accounts.BINDABLE.get(ref.kind)
        if kind is None or ref.apiVersion not in ("", "v1"):
            group, _, version = ref.apiVersion.rpartition("/")
            raise faults.bad_request(f"cannot bind token to object of type {group}/{version}, Kind={ref.kind}")
        found = self._find(kind, namespace if kind.namespaced else "", ref.name)
        if ref.uid and ref.uid != found.metadata.uid:
            raise faults.conflict(
                kind,
                ref.name,
                f"the UID in the bound object reference ({ref.uid}) does not match the UID in record. The object might "
                "have been deleted and then recreated",
            )
        node = None
        if ref.kind == "Pod":
            if (found.spec.serviceAccountName or "default") != account:
                raise faults.bad_request(
                    f'cannot bind token for serviceaccount "{account}" to pod running with different serviceaccount '
                    "name."
                )
            if found.spec.nodeName:
                there = self._store.get(registry.key(accounts.BINDABLE["Node"], namespace="", name=found.spec.nodeName))
                uid = _found.decode(there.value).metadata.uid if there is not None else ""
                node = (found.spec.nodeName, uid)
        return accounts.Bound(kind=ref.kind, name=ref.name, uid=found.metadata.uid, node=node)

    def _find(self, kind: kinds.Kind, namespace: str, name: str) -> _Found:
        row = self._store.get(registry.key(kind, namespace=namespace, name=name))
        if row is None:
            raise faults.not_found(kind, name)
        return _found.decode(row.value)


def _read(body: JsonObject, namespace: str, name: str) -> tuple[_Spec, _Reference | None]:
    """What is asked for; raises Fault 400 and 422."""
    objects.check_type(KIND, body)
    try:
        asked = msgspec.convert(body, _Request)
    except msgspec.ValidationError as error:
        raise faults.bad_request(f'TokenRequest in version "v1" cannot be handled as a TokenRequest: {error}') from None
    data, spec = asked.metadata or _Meta(), asked.spec or _Spec()
    for what, given, wanted in (("name", data.name, name), ("namespace", data.namespace, namespace)):
        if given and given != wanted:
            raise faults.bad_request(
                f"the {what} of the object ({given}) does not match the {what} on the URL ({wanted})"
            )
    found = []
    seconds = spec.expirationSeconds
    if seconds is not None and seconds < _SHORTEST_SECONDS:
        found.append(
            fields.invalid("spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
        )
    if seconds is not None and seconds > 2**32:
        found.append(
            fields.invalid("spec.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds")
        )
    if len(spec.audiences or ()) > _MOST_AUDIENCES:
        found.append(fields.too_long("spec.audiences", _MOST_AUDIENCES, "audiences"))
    if found:
        raise faults.invalid(KIND, "", found)
    return spec, spec.boundObjectRef


def _check_node(user: authn.User, account: str, bound: accounts.Bound | None) -> None:
    """An agent gets tokens for the Pods that are bound to its node, and for nothing else; raises Fault 403."""
    node = authz.node_of(user)
    if not node:
        return
    if bound is None or bound.kind != "Pod":
        raise faults.forbidden(accounts.ACCOUNT, account, f'node "{node}" may ask for tokens bound to a Pod only')
    if bound.node is None or bound.node[0] != node:
        raise faults.forbidden(accounts.ACCOUNT, account, f'Pod "{bound.name}" is not bound to node "{node}"')
