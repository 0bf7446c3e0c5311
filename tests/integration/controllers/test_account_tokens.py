"""The root authority in every Namespace, and tokens in Secrets."""

import asyncio
import base64
import dataclasses
import pathlib
from collections.abc import Awaitable, Callable

import pytest
from tests.integration.controllers import fleetbed

from boxfleet.api import config, meta, namespace, service_account, wellknown
from boxfleet.testing import server

pytestmark = pytest.mark.anyio

WISH = dataclasses.replace(fleetbed.DEFAULTS, authority="first authority\n")


async def _eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(fleetbed.PATIENCE):
        while not await holds():
            await asyncio.sleep(0.01)


async def _find(bed: fleetbed.Bed, kind: type[meta.T], name: str, where: str = "default") -> meta.T | None:
    return await bed.api.find(kind, name, namespace=where)


async def _authority(bed: fleetbed.Bed, where: str, text: str) -> None:
    async def holds() -> bool:
        found = await _find(bed, config.ConfigMap, wellknown.ROOT_CA, where)
        return found is not None and found.data == {"ca.crt": text}

    await _eventually(holds)


async def test_every_namespace_has_the_authority_also_after_changes_and_a_rotation(tmp_path: pathlib.Path) -> None:
    async with fleetbed.bed(tmp_path, settings=WISH) as bed:
        await bed.api.create(namespace.Namespace(metadata=meta.ObjectMeta(name="shop")))
        for each in ("default", "kube-system", "shop"):
            await _authority(bed, each, "first authority\n")
        change = {"data": {"ca.crt": "mine", "more": "x"}}
        await bed.api.patch(config.ConfigMap, wellknown.ROOT_CA, change, namespace="shop")
        await _authority(bed, "shop", "first authority\n")
        await bed.api.delete(config.ConfigMap, wellknown.ROOT_CA, namespace="shop")
        await _authority(bed, "shop", "first authority\n")
        await bed.stop_control()
        bed._settings = dataclasses.replace(WISH, authority="second authority\n")
        bed.start_control()
        await _authority(bed, "default", "second authority\n")
        await _authority(bed, "shop", "second authority\n")


async def _token_secret(bed: fleetbed.Bed, name: str, account: str) -> None:
    info = meta.ObjectMeta(name=name, namespace="default", annotations={config.ACCOUNT_NAME: account})
    await bed.api.create(config.Secret(metadata=info, type=config.ACCOUNT_TOKEN))


async def _user(bed: fleetbed.Bed, token: str) -> str:
    """Who the API says that one is; empty when it knows nobody."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    answer = await server.send(bed.server.app, "POST", path, body, token=token)
    if answer.status == 401:
        return ""
    assert answer.status == 201, answer.body
    return str(answer.json["status"]["userInfo"]["username"])


@pytest.mark.parametrize("end", ["secret", "account"])
async def test_a_secret_gets_a_token_that_ends_with_it_and_with_the_account(tmp_path: pathlib.Path, end: str) -> None:
    async with fleetbed.bed(tmp_path, settings=WISH) as bed:
        robot = meta.ObjectMeta(name="robot", namespace="default")
        await bed.api.create(service_account.ServiceAccount(metadata=robot))
        await _token_secret(bed, "key", "robot")

        async def filled() -> bool:
            found = await _find(bed, config.Secret, "key")
            return found is not None and found.data.keys() == {"token", "ca.crt", "namespace"}

        await _eventually(filled)
        secret = await bed.api.get(config.Secret, "key", namespace="default")
        account = await bed.api.get(service_account.ServiceAccount, "robot", namespace="default")
        assert secret.metadata.annotations[config.ACCOUNT_UID] == account.metadata.uid
        assert base64.b64decode(secret.data["ca.crt"]) == b"first authority\n"
        assert base64.b64decode(secret.data["namespace"]) == b"default"
        token = base64.b64decode(secret.data["token"]).decode()
        assert await _user(bed, token) == "system:serviceaccount:default:robot"
        if end == "secret":
            await bed.api.delete(config.Secret, "key", namespace="default")
        else:
            await bed.api.delete(service_account.ServiceAccount, "robot", namespace="default")

        async def gone() -> bool:
            return await _find(bed, config.Secret, "key") is None

        await _eventually(gone)
        assert await _user(bed, token) == ""


async def test_a_secret_without_an_account_goes(tmp_path: pathlib.Path) -> None:
    async with fleetbed.bed(tmp_path, settings=WISH) as bed:
        await _token_secret(bed, "key", "nobody")

        async def gone() -> bool:
            return await _find(bed, config.Secret, "key") is None

        await _eventually(gone)
