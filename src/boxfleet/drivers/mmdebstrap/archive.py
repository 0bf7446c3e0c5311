"""OCI image archives: one layer, its configuration, and the index that names the image.

By the OCI Image Format Specification 1.0. The index carries containerd's and skopeo's name annotations.
"""

import dataclasses
import datetime
import hashlib
import io
import pathlib
import subprocess
import tarfile
from typing import Any

import msgspec

from boxfleet.api import recipe
from boxfleet.drivers.mmdebstrap import faults

_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
# Writing to disk is what takes the time when an image is taken in: a layer of 370 MiB takes 12 s as it is, 5 s with
# zstd, and gzip needs thrice the time of zstd to pack.
_LAYER = "application/vnd.oci.image.layer.v1.tar+zstd"
_MACHINES = {"armhf": ("arm", "v7"), "i386": ("386", ""), "ppc64el": ("ppc64le", "")}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What `write` made: the manifest's digest (``sha256:...``) and the archive's size in bytes."""

    digest: str
    size: int


def write(
    target: pathlib.Path, *, layer: pathlib.Path, wanted: recipe.Recipe, architecture: str, source_date: int
) -> Written:
    """Pack a layer as an image; the same input makes the same bytes. Blocks: call it in a thread."""
    packed = _compress(layer)
    layer_digest, diff_id = _file_digest(packed), _file_digest(layer)
    machine, machine_variant = _MACHINES.get(architecture, (architecture, ""))
    platform = {"architecture": machine, "os": "linux"} | ({"variant": machine_variant} if machine_variant else {})
    created = datetime.datetime.fromtimestamp(source_date, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    config = _encode(
        platform
        | {
            "created": created,
            "config": _run_config(wanted),
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
            "history": [{"created": created, "created_by": "boxfleet image build"}],
        }
    )
    manifest = _encode(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor(_CONFIG, _digest(config), len(config)),
            "layers": [_descriptor(_LAYER, layer_digest, packed.stat().st_size)],
        }
    )
    index = _encode(
        {
            "schemaVersion": 2,
            "mediaType": _INDEX,
            "manifests": [
                _descriptor(_MANIFEST, _digest(manifest), len(manifest))
                | {
                    "platform": platform,
                    "annotations": {
                        "io.containerd.image.name": wanted.reference,
                        "org.opencontainers.image.ref.name": wanted.tag,
                    },
                }
            ],
        }
    )
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, "oci-layout", _encode({"imageLayoutVersion": "1.0.0"}))
        _add(archive, "index.json", index)
        _add(archive, _blob(_digest(manifest)), manifest)
        _add(archive, _blob(_digest(config)), config)
        with packed.open("rb") as stream:
            info = tarfile.TarInfo(_blob(layer_digest))
            info.size = packed.stat().st_size
            archive.addfile(info, stream)
    return Written(digest=_digest(manifest), size=target.stat().st_size)


def _run_config(wanted: recipe.Recipe) -> dict[str, Any]:
    """The part of the configuration that says how to run the image."""
    ports: dict[str, Any] = {port if "/" in port else f"{port}/tcp": {} for port in wanted.expose}
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    env = {"PATH": path} | wanted.env
    fields: dict[str, Any] = {
        "User": wanted.user,
        "ExposedPorts": ports,
        "Env": [f"{name}={value}" for name, value in env.items()],
        "Entrypoint": wanted.entrypoint,
        "Cmd": wanted.cmd,
        "Volumes": {path: {} for path in wanted.volumes},
        "WorkingDir": wanted.workdir,
        "Labels": wanted.labels,
        "StopSignal": wanted.stopSignal,
    }
    return {name: value for name, value in fields.items() if value}


def _compress(layer: pathlib.Path) -> pathlib.Path:
    """The layer beside itself, compressed; the result does not depend on the number of threads."""
    packed = layer.with_suffix(".tar.zst")
    done = subprocess.run(
        ["zstd", "--quiet", "-3", "--threads=0", "-f", str(layer), "-o", str(packed)],
        stderr=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        raise faults.BuildError(f"cannot compress {layer}: {done.stderr.decode(errors='replace').strip()}")
    return packed


def _file_digest(path: pathlib.Path) -> str:
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def _encode(value: object) -> bytes:
    return msgspec.json.encode(value, order="deterministic")


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _descriptor(media_type: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": size}


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))
