"""Deciding who may do what: decisions in one process by roles of a thousand users, without network and requests.

A figure says how much of a request's time authorization takes. Users have a role in three of a hundred namespaces each,
beside what everybody has; first decisions are those after any role or binding has changed.
"""

import pathlib
import random
import tempfile
import time

from benchmarks import harness

from boxfleet.api import rbac_objects
from boxfleet.apiserver import authn, authz
from boxfleet.testing import server

_USERS = 1000
_NAMESPACES = 100
_ROUNDS = 200_000
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
# Microseconds: together with all else, a request takes some hundreds.
_GOAL = 5.0


async def run(bench: harness.Bench) -> None:
    """Make the roles, then ask."""
    with tempfile.TemporaryDirectory(prefix="bf-bench-") as folder:
        async with server.running(pathlib.Path(folder)) as api:
            bench.say(f"binding {_USERS} users")
            dice = random.Random(1)
            users = [await _user(api, f"user-{number}", dice) for number in range(_USERS)]
            judge = api.app.authorizer
            wishes = [(dice.choice(users), _wish(dice)) for _ in range(_ROUNDS)]
            first = _microseconds(judge, [(user, wishes[0][1]) for user in users])
            bench.metric("first decision of a user", first, "us of CPU")
            _microseconds(judge, wishes)
            known = _microseconds(judge, wishes)
            bench.metric("decision", known, "us of CPU", target=_GOAL)
            bench.metric("decisions", 1e6 / known, "1/s of CPU")
            master = authn.User(name="admin", groups=(authz.MASTERS,))
            lifted = _microseconds(judge, [(master, wish) for _, wish in wishes])
            bench.metric("decision for a master", lifted, "us of CPU")


async def _user(api: server.Api, name: str, dice: random.Random) -> authn.User:
    for number in dice.sample(range(_NAMESPACES), 3):
        space = f"space-{number}"
        await server.send(api.app, "POST", "/api/v1/namespaces", {"metadata": {"name": space}})
        bound = rbac_objects.cluster_role_binding(dice.choice(("edit", "view", "developer")), user=name)
        bound |= {"kind": "RoleBinding", "metadata": {"name": name}}
        reply = await server.send(api.app, "POST", f"{_RBAC}/namespaces/{space}/rolebindings", bound)
        assert reply.status == 201, reply.body
    return authn.User(name=name, groups=("team", authn.AUTHENTICATED))


def _wish(dice: random.Random) -> authz.Attributes:
    group, resource = dice.choice((("", "pods"), ("", "configmaps"), ("boxfleet.dev", "boxes"), ("", "secrets")))
    return authz.Attributes(
        verb=dice.choice(("get", "list", "update")),
        group=group,
        resource=resource,
        namespace=f"space-{dice.randrange(_NAMESPACES)}",
        name=f"object-{dice.randrange(10_000)}",
    )


def _microseconds(judge: authz.Authorizer, asked: list[tuple[authn.User, authz.Attributes]]) -> float:
    began = time.process_time()
    for user, wish in asked:
        judge.decide(user, wish)
    return (time.process_time() - began) / len(asked) * 1e6
