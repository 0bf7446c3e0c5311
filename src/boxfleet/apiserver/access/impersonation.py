"""Calling as somebody else: the headers Impersonate-User, -Group, -Uid and -Extra-KEY.

Each name, group and value takes the right to `impersonate` it, as in Kubernetes.
"""

import dataclasses
import urllib.parse
from collections.abc import Iterable, Iterator

from boxfleet.apiserver import authn, authz, faults

_EXTRA = "impersonate-extra-"
_AUTHENTICATION = "authentication.k8s.io"
_ANONYMOUS = "system:anonymous"
_UNAUTHENTICATED = "system:unauthenticated"


@dataclasses.dataclass(slots=True, kw_only=True)
class _Wanted:
    user: str = ""
    uid: str = ""
    groups: list[str] = dataclasses.field(default_factory=list)
    extra: dict[str, list[str]] = dataclasses.field(default_factory=dict)


def user(caller: authn.User, headers: Iterable[tuple[bytes, bytes]], authorizer: authz.Authorizer) -> authn.User:
    """Whom a caller wants to be, if he may; raises Fault 400 and 403."""
    wanted = _read(headers)
    if not wanted.user:
        raise faults.bad_request(
            "cannot impersonate a group, uid or extra without a user: set the header Impersonate-User as well"
        )
    for wish in _wishes(wanted):
        decision = authorizer.decide(caller, wish)
        if not decision.allowed:
            raise authz.refusal(caller, wish, reason=decision.reason)
    groups = list(wanted.groups)
    account = authn.service_account_of(wanted.user)
    if account is not None and not groups:
        groups = list(authn.service_account_groups(account[0]))
    everybody = _UNAUTHENTICATED if wanted.user == _ANONYMOUS else authn.AUTHENTICATED
    if everybody not in groups:
        groups.append(everybody)
    return authn.User(
        name=wanted.user,
        groups=tuple(groups),
        uid=wanted.uid,
        extra=tuple((key, tuple(values)) for key, values in sorted(wanted.extra.items())),
    )


def _read(headers: Iterable[tuple[bytes, bytes]]) -> _Wanted:
    wanted = _Wanted()
    for raw, encoded in headers:
        name, value = raw.decode("latin-1").lower(), encoded.decode("utf-8", "replace")
        if name == "impersonate-user":
            wanted.user = value
        elif name == "impersonate-uid":
            wanted.uid = value
        elif name == "impersonate-group":
            wanted.groups.append(value)
        elif name.startswith(_EXTRA):
            # Keys are written with percent signs for what a header's name cannot hold.
            key = urllib.parse.unquote(name.removeprefix(_EXTRA)).lower()
            wanted.extra.setdefault(key, []).append(value)
    return wanted


def _wishes(wanted: _Wanted) -> Iterator[authz.Attributes]:
    account = authn.service_account_of(wanted.user)
    if account is not None:
        yield authz.Attributes(verb="impersonate", resource="serviceaccounts", namespace=account[0], name=account[1])
    else:
        yield authz.Attributes(verb="impersonate", resource="users", name=wanted.user)
    for group in wanted.groups:
        yield authz.Attributes(verb="impersonate", resource="groups", name=group)
    if wanted.uid:
        yield authz.Attributes(verb="impersonate", group=_AUTHENTICATION, resource="uids", name=wanted.uid)
    for key, values in wanted.extra.items():
        for value in values:
            yield authz.Attributes(
                verb="impersonate", group=_AUTHENTICATION, resource="userextras", subresource=key, name=value
            )
