"""Make the Python modules from the .proto files: `python -m boxfleet.drivers.containerd.wire.generate`.

Needs grpcio-tools, which only developers have; the modules are committed, and a test compares them.
"""

import importlib.resources
import pathlib
import sys

PACKAGE = "boxfleet/drivers/containerd/wire"
SOURCES = ("cri.proto", "events.proto", "task_events.proto")


def generate(*, into: pathlib.Path) -> None:
    """Write the modules below a directory, under the package's own path; raises RuntimeError when protoc refuses."""
    from grpc_tools import protoc

    here = pathlib.Path(__file__).parent
    include = importlib.resources.files("grpc_tools") / "_proto"
    arguments = [
        "protoc",
        f"--proto_path={PACKAGE}={here}",
        f"--proto_path={include}",
        f"--python_out={into}",
        f"--pyi_out={into}",
        *(f"{PACKAGE}/{source}" for source in SOURCES),
    ]
    if protoc.main(arguments) != 0:
        raise RuntimeError("protoc refused a .proto file; its reason is above")


if __name__ == "__main__":
    generate(into=pathlib.Path(__file__).parents[len(pathlib.PurePosixPath(PACKAGE).parts)])
    sys.exit(0)
