"""The loop that fills Secrets with tokens, and ends them with their accounts."""

import base64
import contextlib
from typing import Protocol

from boxfleet.api import config, meta, service_account
from boxfleet.client import client, errors, loop, shared
from boxfleet.controllers import settings


class Sign(Protocol):
    """Makes the token of a Secret."""

    def __call__(self, *, namespace: str, secret: str, name: str, uid: str) -> str:
        """For the ServiceAccount of that name and uid."""


class TokenSecrets:
    """Looks after Secrets of the type; without `sign` there are no tokens to be had, and nothing is touched."""

    def __init__(
        self, api: client.Client, caches: shared.Caches, *, settings: settings.Settings, sign: Sign | None
    ) -> None:
        self._api = api
        self._sign = sign
        self._authority = settings.authority
        self._loop: loop.Loop[meta.Key] = loop.Loop("token secrets", self.reconcile)
        self.run = self._loop.run
        if sign is not None:
            self._secrets = caches.of(config.Secret, fields=f"type={config.ACCOUNT_TOKEN}")
            self._secrets.listen(self._secret_changed)
            caches.of(service_account.ServiceAccount).listen(self._account_changed)

    async def reconcile(self, key: meta.Key) -> None:
        """Make one Secret right."""
        secret = self._secrets.get(key)
        if secret is None or secret.metadata.deletionTimestamp or self._sign is None:
            return
        said = secret.metadata.annotations
        name, uid = said.get(config.ACCOUNT_NAME, ""), said.get(config.ACCOUNT_UID, "")
        # Asked for and not remembered: what goes for want of an account does not come back.
        account = await self._api.find(service_account.ServiceAccount, name, namespace=key.namespace) if name else None
        if account is None or account.metadata.deletionTimestamp or uid not in ("", account.metadata.uid):
            with contextlib.suppress(errors.NotFound, errors.Conflict):
                await self._api.delete(config.Secret, key.name, namespace=key.namespace, uid=secret.metadata.uid)
            return
        wanted = {"namespace": _encoded(key.namespace)}
        if self._authority:
            wanted["ca.crt"] = _encoded(self._authority)
        changed = {each: value for each, value in wanted.items() if secret.data.get(each) != value}
        if not secret.data.get("token"):
            token = self._sign(namespace=key.namespace, secret=key.name, name=name, uid=account.metadata.uid)
            changed["token"] = _encoded(token)
        if not changed and uid:
            return
        change = {
            "metadata": {
                # Of two servers that fill it at once, one makes the token.
                "resourceVersion": secret.metadata.resourceVersion,
                "uid": secret.metadata.uid,
                "annotations": {config.ACCOUNT_UID: account.metadata.uid},
            },
            "data": changed,
        }
        await self._api.patch(config.Secret, key.name, change, namespace=key.namespace)

    def _secret_changed(self, old: config.Secret | None, new: config.Secret | None) -> None:
        if new is not None:
            self._loop.add(new.key)

    def _account_changed(
        self, old: service_account.ServiceAccount | None, new: service_account.ServiceAccount | None
    ) -> None:
        if old is None or (new is not None and new.metadata.uid == old.metadata.uid):
            return
        for each in self._secrets:
            named = each.metadata.annotations.get(config.ACCOUNT_NAME)
            if each.metadata.namespace == old.metadata.namespace and named == old.metadata.name:
                self._loop.add(each.key)


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
