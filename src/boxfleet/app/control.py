"""What the controllers are told by this installation's settings, and the objects that they begin with."""

from boxfleet.app import paths, settings
from boxfleet.client import client as clients
from boxfleet.controllers import bootstrap
from boxfleet.controllers import settings as controller_settings


def settings_of(known: settings.Server) -> controller_settings.Settings:
    """The controllers' settings."""
    # Read when the controllers begin: a rotation of the authority starts the server anew.
    authority = paths.of(known).ca_certificate
    return controller_settings.Settings(
        pool_cidr=known.cidr,
        pool_bridge=known.bridge,
        domain=known.domain,
        takeover=known.takeover,
        authority=authority.read_text() if authority.exists() else "",
    )


async def complete(known: settings.Server, api: clients.Client) -> None:
    """Make again what somebody deleted and nothing can run without. Raises ApiError."""
    await bootstrap.make(api, settings_of(known))
