"""Step 1: what every Namespace has."""

from boxfleet.api import meta, namespace, service_account
from boxfleet.client import client, errors

NAME = "default"


async def provide(api: client.Client, subject: namespace.Namespace) -> None:
    """Make the ServiceAccount that Pods get when they name none."""
    account = service_account.ServiceAccount(metadata=meta.ObjectMeta(name=NAME, namespace=subject.metadata.name))
    try:
        await api.create(account)
    except errors.AlreadyExists:
        return
