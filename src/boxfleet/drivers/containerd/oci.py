"""Images of one layer as OCI archives. Same files, same bytes.

The archive follows the OCI image layout 1.0, with the annotation by which containerd names what it imports.
"""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping
from typing import Any

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "ppc64le": "ppc64le", "s390x": "s390x"}
_MEDIA = "application/vnd.oci.image."

# Paths without a leading slash, with content and mode.
Files = Mapping[str, tuple[bytes, int]]


def archive(files: Files, *, config: Mapping[str, Any], name: str) -> bytes:
    """An archive of an image with those files; `config` is the image configuration's own (Entrypoint, User, ...)."""
    layer = _tar(files)
    configuration = _json(
        {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MEDIA + "manifest.v1+json",
            "config": _descriptor("config.v1+json", configuration),
            "layers": [_descriptor("layer.v1.tar", layer)],
        }
    )
    entry = _descriptor("manifest.v1+json", manifest)
    entry["annotations"] = {"io.containerd.image.name": name}
    index = _json({"schemaVersion": 2, "mediaType": _MEDIA + "index.v1+json", "manifests": [entry]})
    parts = {"oci-layout": (_json({"imageLayoutVersion": "1.0.0"}), 0o644), "index.json": (index, 0o644)}
    for blob in (layer, configuration, manifest):
        parts["blobs/sha256/" + _digest(blob).removeprefix("sha256:")] = (blob, 0o644)
    return _tar(parts)


def _tar(files: Files) -> bytes:
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
