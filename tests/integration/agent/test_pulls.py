"""Ordinary references: images are pulled from a real registry, and what goes wrong there is told and mended."""

import base64
import pathlib

import pytest
from tests.integration.agent import bed as beds
from tests.integration.agent import registry as registries

from boxfleet.api import config, event, meta, service_account
from boxfleet.api import pod as pods

pytestmark = [pytest.mark.anyio, pytest.mark.machine]


def spec(reference: str, **fields: object) -> dict[str, object]:
    return {"containers": [{"name": "main", "image": reference}], **fields}


def why(pod: pods.Pod) -> pods.ContainerStateWaiting:
    """What its only container waits for."""
    statuses = pod.status.containerStatuses
    return (statuses[0].state.waiting if statuses else None) or pods.ContainerStateWaiting()


def waits(*reasons: str):
    return lambda pod: why(pod).reason in reasons


def archive(bed: beds.Bed) -> pathlib.Path:
    return bed.host.folder / "image.tar"


def login(name: str, host: str, *, password: str = registries.PASSWORD) -> config.Secret:
    text = registries.docker_config(host, password=password)
    return config.Secret(
        metadata=meta.ObjectMeta(name=name, namespace="default"),
        type="kubernetes.io/dockerconfigjson",
        data={".dockerconfigjson": base64.b64encode(text.encode()).decode()},
    )


async def test_each_pull_policy(bed: beds.Bed, tmp_path: pathlib.Path) -> None:
    async with registries.running(tmp_path / "registry") as registry:
        app = await registry.push(archive(bed), "team/app:1")
        never = {"containers": [{"name": "main", "image": app, "imagePullPolicy": "Never"}]}
        await bed.pod(never, name="never")
        pod = await bed.until(waits("ErrImageNeverPull"), name="never")
        assert app in why(pod).message
        assert registry.asked(app) == 0
        await bed.pod(spec(app), name="first")
        await bed.ready("first")
        assert registry.asked(app) == 1
        # What is here is enough for all but Always.
        await bed.pod(spec(app), name="second")
        await bed.ready("second")
        await bed.ready("never", seconds=15)
        assert registry.asked(app) == 1
        always = {"containers": [{"name": "main", "image": app, "imagePullPolicy": "Always"}]}
        await bed.pod(always, name="always")
        await bed.ready("always")
        assert registry.asked(app) == 2
        # latest may be another image tomorrow: each start asks.
        latest = await registry.push(archive(bed), "team/app:latest")
        for name, reference in (("one", latest), ("two", latest.removesuffix(":latest"))):
            await bed.pod(spec(reference), name=name)
            pod = await bed.ready(name)
            assert pod.spec.containers[0].imagePullPolicy == "Always"
        assert registry.asked(latest) == 2
        await registry.stop()
        await bed.pod(spec(latest), name="three")
        pod = await bed.until(waits("ErrImagePull"), name="three")
        assert "connection refused" in why(pod).message
        assert f"see whether the registry {registry.host} runs" in why(pod).message


async def test_a_missing_tag_and_a_registry_that_is_down_are_waited_for(bed: beds.Bed, tmp_path: pathlib.Path) -> None:
    async with registries.running(tmp_path / "one") as filled, registries.running(tmp_path / "two") as down:
        there = await down.push(archive(bed), "team/app:1")
        await down.stop()
        absent = f"{filled.host}/team/app:2"
        await bed.pod(spec(absent), name="absent")
        await bed.pod(spec(there), name="there")
        pod = await bed.until(waits("ErrImagePull", "ImagePullBackOff"), name="absent")
        assert f"{absent}: not found; push the image to {filled.host}, or correct its name" in why(pod).message
        pod = await bed.until(waits("ErrImagePull", "ImagePullBackOff"), name="there")
        assert "connection refused" in why(pod).message
        for name in ("absent", "there"):
            await bed.until(waits("ImagePullBackOff"), name=name)
        assert filled.asked(absent) == 1
        await filled.push(archive(bed), "team/app:2")
        await down.start()
        for name in ("absent", "there"):
            await bed.ready(name, seconds=30)


async def test_a_registry_that_wants_a_password(bed: beds.Bed, tmp_path: pathlib.Path) -> None:
    async with registries.running(tmp_path / "registry", password=True) as registry:
        app = await registry.push(archive(bed), "team/app:1")
        other = await registry.push(archive(bed), "team/app:2")
        third = await registry.push(archive(bed), "team/app:3")
        await bed.pod(spec(app, imagePullSecrets=[{"name": "login"}]), name="one")
        await bed.pod(spec(other), name="two")
        pod = await bed.until(waits("ErrImagePull", "ImagePullBackOff"), name="one")
        assert "Secret login of imagePullSecrets is not there" in why(pod).message
        pod = await bed.until(waits("ErrImagePull", "ImagePullBackOff"), name="two")
        assert f"{registry.host} wants a password: kubectl create secret docker-registry" in why(pod).message
        # The one gets its secret, the other's account gets it: neither waits for its back-off to end.
        await bed.api.admin.create(login("login", registry.host))
        await bed.ready("one", seconds=5)
        given = {"imagePullSecrets": [{"name": "login"}]}
        await bed.api.admin.patch(service_account.ServiceAccount, "default", given, namespace="default")
        await bed.ready("two", seconds=5)
        wrong = "not-the-horse"
        await bed.api.admin.create(login("wrong", registry.host, password=wrong))
        await bed.pod(spec(third, imagePullSecrets=[{"name": "wrong"}]), name="three")
        pod = await bed.until(waits("ErrImagePull", "ImagePullBackOff"), name="three")
        assert f"{registry.host} refuses the name and password of Secret wrong" in why(pod).message
        # Of several the one that opens is found.
        await bed.pod(spec(third, imagePullSecrets=[{"name": "wrong"}, {"name": "login"}]), name="four")
        await bed.ready("four")
        said = [meta.to_dict(one) for one in (await bed.api.admin.list(event.Event)).items]
        said += [meta.to_dict(one) for one in (await bed.api.admin.list(pods.Pod)).items]
        told = str(said) + (bed.host.folder / "state" / "logs" / "containerd.log").read_text() + registry.log
        for hidden in (registries.PASSWORD, wrong):
            encoded = base64.b64encode(f"{registries.USER}:{hidden}".encode()).decode()
            assert hidden not in told
            assert encoded not in told


async def test_a_registry_with_a_certificate_of_an_own_authority(bed: beds.Bed, tmp_path: pathlib.Path) -> None:
    async with registries.running(tmp_path / "registry", tls=True) as registry:
        settings = bed.host.containerd.settings.registries / registry.host
        hosts = settings / "hosts.toml"
        where = f"STATE/registries/{registry.host}/hosts.toml"
        await bed.pod(spec(await registry.push(archive(bed), "team/app:1")), name="one")
        pod = await bed.until(waits("ErrImagePull", "ImagePullBackOff"), name="one")
        assert f"may speak HTTPS, and was spoken to in plain HTTP: say so in {where}" in why(pod).message
        settings.mkdir()
        hosts.write_text(f'[host."https://{registry.host}"]\n')
        await bed.pod(spec(await registry.push(archive(bed), "team/app:2")), name="two")
        pod = await bed.until(waits("ErrImagePull", "ImagePullBackOff"), name="two")
        assert "x509: certificate signed by unknown authority" in why(pod).message
        assert f"name the authority that signed the certificate of {registry.host} in {where}" in why(pod).message
        (settings / "ca.crt").write_bytes(registry.authority.read_bytes())
        hosts.write_text(f'[host."https://{registry.host}"]\nca = "ca.crt"\n')
        for name in ("one", "two"):
            await bed.ready(name, seconds=30)


async def test_a_name_that_no_registry_can_have_is_said_and_not_asked_for_again(bed: beds.Bed) -> None:
    await bed.pod(spec("127.0.0.1:1/Team/App:1"))
    pod = await bed.until(waits("InvalidImageName"))
    assert "repository name must be lowercase; correct `image`" in why(pod).message
