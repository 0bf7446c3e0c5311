"""The way into the API for whoever holds the admin's kubeconfig."""

import base64
import contextlib
import dataclasses
import pathlib
from collections.abc import AsyncIterator
from typing import Any

import yaml

from boxfleet.app import credentials, paths, settings
from boxfleet.client import client, plain

# What somebody does who may not look into the folders of Boxfleet.
REMEDY = "run it again with sudo, or with --kubeconfig FILE of somebody who may use the API"


class NoAccess(Exception):
    """There is no way into the API from here; the text says what to do."""


def url_of(known: settings.Instance) -> str:
    """Where the API is."""
    # A server that listens everywhere is reached here.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(known.listen, known.listen)  # noqa: S104
    return _url(host, known.port)


def announced_url(known: settings.Server) -> str:
    """Where other machines reach this server."""
    return _url(known.advertise, known.port) if known.advertise else url_of(known)


def _url(host: str, port: int) -> str:
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


@contextlib.asynccontextmanager
async def admin(known: settings.Instance, *, patience: float = 30.0) -> AsyncIterator[client.Client]:
    """A client with the admin's rights. Raises NoAccess when the kubeconfig is not there or not ours to read.

    `patience` is how long the API may be silent, in seconds.
    """
    where = paths.of(known)
    try:
        token = credentials.token_of(where.admin_kubeconfig)
    except PermissionError:
        raise NoAccess(f"{where.admin_kubeconfig} is for root only: {REMEDY}") from None
    if not token:
        raise NoAccess(f"there is no {where.admin_kubeconfig}: Boxfleet was not started here, try boxfleet up")
    api = client.Client(plain.Plain(url_of(known), authority=where.ca_certificate, token=token, patience=patience))
    try:
        yield api
    finally:
        await api.close()


@contextlib.asynccontextmanager
async def by_kubeconfig(path: pathlib.Path, *, patience: float = 30.0) -> AsyncIterator[client.Client]:
    """A client with the rights of whoever the kubeconfig's current context names. Raises NoAccess."""
    given = read_kubeconfig(path)
    api = client.Client(
        plain.Plain(
            given.server,
            authority_data=given.authority,
            token=given.token,
            certificate_data=given.certificate,
            patience=patience,
        )
    )
    try:
        yield api
    finally:
        await api.close()


def way(
    known: settings.Instance, kubeconfig: str | None, *, patience: float = 30.0
) -> contextlib.AbstractAsyncContextManager[client.Client]:
    """By the kubeconfig that is given, else as the admin."""
    if kubeconfig is not None:
        return by_kubeconfig(pathlib.Path(kubeconfig), patience=patience)
    return admin(known, patience=patience)


def require_sight(known: settings.Instance) -> None:
    """Raises NoAccess when this user may not see whether Boxfleet runs here: what it hides would look like down."""
    where = paths.of(known)
    for folder in (where.services, where.credentials):
        try:
            next(folder.iterdir(), None)
        except PermissionError:
            raise NoAccess(f"this user may not look into {folder}: {REMEDY}") from None
        except (FileNotFoundError, NotADirectoryError):
            continue


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What a kubeconfig's current context says: URL, and the authority's certificates (PEM).

    Its user is known by a token, or by a certificate with its key (PEM).
    """

    server: str
    token: str = dataclasses.field(repr=False)
    authority: str
    certificate: str = dataclasses.field(default="", repr=False)


def read_kubeconfig(path: pathlib.Path) -> Way:
    """The way that a kubeconfig gives, by a token or a certificate. Raises NoAccess when there is none."""
    try:
        said = yaml.safe_load(path.read_text())
        context = _named(said, "context", said["current-context"])
        cluster, user = _named(said, "cluster", context["cluster"]), _named(said, "user", context["user"])
        token = user.get("token") or ""
        if "tokenFile" in user:
            token = (path.parent / user["tokenFile"]).read_text().strip()
        authority = _text(path, cluster, "certificate-authority")
        certificate = "\n".join(_text(path, user, key) for key in ("client-certificate", "client-key")).strip()
        if not token and not certificate:
            raise NoAccess(f"{path}: its current context has no token and no certificate; no other way in is known")
        return Way(server=cluster["server"], token=token, authority=authority, certificate=certificate)
    except OSError as error:
        raise NoAccess(f"cannot read {error.filename}: {error.strerror}") from None
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError):
        raise NoAccess(f"{path} is not a kubeconfig with a current context, its cluster and its user") from None


def _text(path: pathlib.Path, part: Any, key: str) -> str:
    """What a kubeconfig holds itself, or in a file beside it."""
    if key in part:
        return (path.parent / str(part[key])).read_text()
    return base64.b64decode(part.get(f"{key}-data") or "").decode()


def _named(said: Any, kind: str, name: str) -> Any:
    return next((each[kind] for each in said[f"{kind}s"] if each["name"] == name), {})
