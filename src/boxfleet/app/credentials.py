"""Bearer tokens: who may call the API, and the files that say so.

The server reads only hashes. Tokens have 256 random bits, so a plain SHA-256 keeps them as well as a slow hash would.
A token is written where it is used before its hash is: a crash between the two leaves a token that opens nothing, and
the next start makes a new one.
"""

import base64
import hashlib
import pathlib

import msgspec
import yaml

from boxfleet.apiserver.identity import join_tokens
from boxfleet.app import paths
from boxfleet.kit import durable, ids

ADMIN_USER = "admin"
ADMIN_GROUPS = ("system:masters",)
NODE_PREFIX = "system:node:"
NODE_GROUPS = ("system:nodes",)


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """One token's hash, and whom it stands for."""

    sha256: str
    user: str
    groups: list[str]


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """What `ensure` made: the admin's token when it is new, which is said once and never again."""

    admin_token: str = ""


def digest(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def load(where: paths.Paths) -> list[Identity]:
    """The identities that the server knows."""
    try:
        return msgspec.json.decode(where.token_hashes.read_bytes(), type=list[Identity])
    except FileNotFoundError:
        return []


def ensure(where: paths.Paths, *, node: str, server: str) -> Issued:
    """Make the admin's and the agent's tokens and files when they are missing or no longer fit; repeatable.

    `server` is the URL that goes into the kubeconfig. The authority's certificate must be there.
    """
    paths.make_private(where.credentials)
    known = load(where)
    hashes = {identity.sha256 for identity in known}
    authority = where.ca_certificate.read_bytes()

    token = token_of(where.admin_kubeconfig)
    issued = Issued()
    if not token or digest(token) not in hashes:
        token = ids.new_token()
        issued = Issued(admin_token=token)
    content = kubeconfig(server=server, authority=authority, token=token)
    if _read(where.admin_kubeconfig) != content:
        durable.write(where.admin_kubeconfig, content, mode=0o600)

    agent_token = _read(where.agent_token).decode().strip()
    node_user = join_tokens.host_user(node)
    if not any(i.sha256 == digest(agent_token) and i.user == node_user for i in known):
        agent_token = ids.new_token()
        durable.write(where.agent_token, agent_token.encode() + b"\n", mode=0o600)

    wanted = [
        Identity(sha256=digest(token), user=ADMIN_USER, groups=list(ADMIN_GROUPS)),
        Identity(sha256=digest(agent_token), user=node_user, groups=[join_tokens.GROUP]),
    ]
    if wanted != known:
        _save(where, wanted)
    return issued


def adopt(where: paths.Paths, *, token: str, server: str) -> None:
    """Take over the administrator's token of another server; `ensure` does the rest. Repeatable."""
    paths.make_private(where.credentials)
    content = kubeconfig(server=server, authority=where.ca_certificate.read_bytes(), token=token)
    durable.write(where.admin_kubeconfig, content, mode=0o600)
    others = [each for each in load(where) if each.user != ADMIN_USER]
    _save(where, [Identity(sha256=digest(token), user=ADMIN_USER, groups=list(ADMIN_GROUPS)), *others])


def kubeconfig(*, server: str, authority: bytes, token: str, user: str = ADMIN_USER) -> bytes:
    """A kubeconfig with everything in it."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "boxfleet",
        "clusters": [
            {
                "name": "boxfleet",
                "cluster": {"server": server, "certificate-authority-data": base64.b64encode(authority).decode()},
            }
        ],
        "contexts": [{"name": "boxfleet", "context": {"cluster": "boxfleet", "user": user}}],
        "users": [{"name": user, "user": {"token": token}}],
    }
    return yaml.safe_dump(config, sort_keys=False).encode()


def token_of(path: pathlib.Path) -> str:
    """The token in a kubeconfig made here; empty when there is none."""
    try:
        config = yaml.safe_load(_read(path))
        return str(config["users"][0]["user"]["token"])
    except (yaml.YAMLError, KeyError, IndexError, TypeError):
        return ""


def _save(where: paths.Paths, known: list[Identity]) -> None:
    durable.write(where.token_hashes, msgspec.json.format(msgspec.json.encode(known)), mode=0o600)


def _read(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
