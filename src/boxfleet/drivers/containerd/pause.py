"""The sandbox image: Debian's static catatonit, which as `catatonit -P` holds namespaces and reaps zombies."""

import pathlib
import tempfile

from boxfleet.drivers.containerd import oci
from boxfleet.ports import runtime

CATATONIT = pathlib.Path("/usr/bin/catatonit")


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
    """An OCI archive of the sandbox image."""
    # Nobody's: a pause process needs no rights.
    config = {"Entrypoint": ["/pause", "-P"], "User": "65534:65534", "WorkingDir": "/"}
    return oci.archive({"pause": (binary, 0o755)}, config=config, name=name)
