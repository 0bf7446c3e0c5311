"""Images on the engine: pulled when they are missing, with the names and passwords that the Pod brings."""

import base64
from collections.abc import Mapping
from typing import Any

import msgspec

from boxfleet.api import config
from boxfleet.api import pod as pods
from boxfleet.drivers.docker import connection, faults, pause, status
from boxfleet.planning import pull_secrets, pull_words
from boxfleet.ports import cluster

# Seconds without a word of progress after which a pull is given up.
_SILENCE = 300.0
_SETTINGS = "the engine's own settings (insecure-registries in daemon.json, or ca.crt below /etc/docker/certs.d)"


class Held(Exception):
    """A container cannot be made now; `hold` says why."""

    def __init__(self, hold: status.Hold) -> None:
        super().__init__(hold.message)
        self.hold = hold


async def is_there(link: connection.Connection, reference: str) -> bool:
    """Whether the engine has an image. Raises ClusterFaults."""
    try:
        await link.call("GET", f"/images/{reference}/json")
    except faults.NotFound:
        return False
    except cluster.Unreachable:
        raise
    except cluster.ClusterFault as error:
        raise Held(status.Hold(reason="InvalidImageName", message=str(error))) from None
    return True


async def ensure(
    link: connection.Connection, pod: pods.Pod, container: pods.Container, secrets: Mapping[str, config.Secret]
) -> None:
    """Have the image of a container, as its pull policy says. Raises Held and Unreachable."""
    there = await is_there(link, container.image)
    if container.imagePullPolicy == "Never":
        if not there:
            words = f"Container image {container.image!r} is not present with pull policy of Never"
            raise Held(status.Hold(reason="ErrImageNeverPull", message=words))
        return
    if there and container.imagePullPolicy != "Always":
        return
    keys = pull_secrets.look_up(container.image, pull_secrets.names(pod.spec, None), secrets)
    words = ""
    for one in [*keys.credentials, None]:
        words = await _pull(link, container.image, one)
        if not words:
            return
    reason = "InvalidImageName" if pull_words.is_misnamed(words) else "ErrImagePull"
    raise Held(status.Hold(reason=reason, message=pull_words.explain(container.image, words, keys, settings=_SETTINGS)))


async def ensure_pause(link: connection.Connection, architecture: str) -> None:
    """Have the image of containers that only hold a network. Raises ClusterFaults."""
    if await is_there(link, pause.IMAGE):
        return
    name, _, tag = pause.IMAGE.rpartition(":")
    await link.call(
        "POST",
        "/images/create",
        params={"fromSrc": "-", "repo": name, "tag": tag, "changes": pause.CHANGES[0]},
        data=pause.root(architecture),
        headers={"Content-Type": "application/x-tar"},
    )


async def _pull(link: connection.Connection, reference: str, key: pull_secrets.Credential | None) -> str:
    """Empty when it went well, else why not. Raises Unreachable."""
    params, headers = {"fromImage": reference}, {}
    if "@" not in reference and ":" not in reference.rpartition("/")[2]:
        params["tag"] = "latest"
    if key is not None:
        host, _ = pull_secrets.split(reference)
        shown = {"username": key.username, "password": key.password, "serveraddress": host}
        headers["X-Registry-Auth"] = base64.urlsafe_b64encode(msgspec.json.encode(shown)).decode()
    try:
        async for line in link.lines("POST", "/images/create", params=params, headers=headers, silence=_SILENCE):
            if fault := _fault(line):
                return fault
    except cluster.Unreachable:
        raise
    except cluster.ClusterFault as error:
        return str(error).removeprefix("cannot POST /images/create: ")
    return ""


def _fault(line: dict[str, Any]) -> str:
    detail = line.get("errorDetail") or {}
    return str(detail.get("message") or line.get("error") or "")
