"""The way into the API for whoever holds the admin's kubeconfig."""

import contextlib
from collections.abc import AsyncIterator

from boxfleet.app import credentials, paths, settings
from boxfleet.client import client, plain


class NoAccess(Exception):
    """There is no way into the API from here; the text says what to do."""


def url_of(known: settings.Instance) -> str:
    """Where the API is."""
    # A server that listens everywhere is reached here.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(known.listen, known.listen)  # noqa: S104
    return f"https://[{host}]:{known.port}" if ":" in host else f"https://{host}:{known.port}"


@contextlib.asynccontextmanager
async def admin(known: settings.Instance, *, patience: float = 30.0) -> AsyncIterator[client.Client]:
    """A client with the admin's rights. Raises NoAccess when the kubeconfig is not there or not ours to read.

    `patience` is how long the API may be silent, in seconds.
    """
    where = paths.of(known)
    try:
        token = credentials.token_of(where.admin_kubeconfig)
    except PermissionError:
        raise NoAccess(f"{where.admin_kubeconfig} is for root only: run it again with sudo") from None
    if not token:
        raise NoAccess(f"there is no {where.admin_kubeconfig}: Boxfleet was not started here, try boxfleet up")
    api = client.Client(plain.Plain(url_of(known), authority=where.ca_certificate, token=token, patience=patience))
    try:
        yield api
    finally:
        await api.close()
