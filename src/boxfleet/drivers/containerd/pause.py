"""The sandbox image: Debian's static catatonit, which as `catatonit -P` holds namespaces and reaps zombies.

The archive follows the OCI image layout, with the annotation by which containerd names what it imports. Same
binary, same bytes.
"""

import hashlib
import io
import json
import pathlib
import platform
import tarfile
import tempfile
from typing import Any

from boxfleet.ports import runtime

CATATONIT = pathlib.Path("/usr/bin/catatonit")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "ppc64le": "ppc64le", "s390x": "s390x"}
_MEDIA = "application/vnd.oci.image."


async def ensure(images: runtime.Images, *, name: str) -> None:
    """Have the sandbox image; raises RuntimeFault when catatonit is not installed."""
    if await images.find(name) is not None:
        return
    try:
        binary = CATATONIT.read_bytes()
    except FileNotFoundError:
        raise runtime.RuntimeFault(
            f"cannot make the sandbox image: {CATATONIT} is missing; install it with `apt-get install catatonit`"
        ) from None
    with tempfile.NamedTemporaryFile(suffix=".tar") as file:
        file.write(archive(binary, name=name))
        file.flush()
        await images.load(file.name)


def archive(binary: bytes, *, name: str) -> bytes:
    """An OCI archive of an image with that one program."""
    layer = _tar({"pause": (binary, 0o755)})
    configuration = {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        # Nobody: a pause process needs no rights.
        "config": {"Entrypoint": ["/pause", "-P"], "User": "65534:65534", "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
    }
    config = _json(configuration)
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MEDIA + "manifest.v1+json",
            "config": _descriptor("config.v1+json", config),
            "layers": [_descriptor("layer.v1.tar", layer)],
        }
    )
    entry = _descriptor("manifest.v1+json", manifest)
    entry["annotations"] = {"io.containerd.image.name": name}
    index = _json({"schemaVersion": 2, "mediaType": _MEDIA + "index.v1+json", "manifests": [entry]})
    files = {"oci-layout": (_json({"imageLayoutVersion": "1.0.0"}), 0o644), "index.json": (index, 0o644)}
    for blob in (layer, config, manifest):
        files["blobs/sha256/" + _digest(blob).removeprefix("sha256:")] = (blob, 0o644)
    return _tar(files)


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, (content, mode) in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _descriptor(kind: str, blob: bytes) -> dict[str, Any]:
    return {"mediaType": _MEDIA + kind, "digest": _digest(blob), "size": len(blob)}


def _digest(blob: bytes) -> str:
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
