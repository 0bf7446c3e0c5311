"""Whether the host's ports that an instance wants are free.

The port-mapping plug-in would take traffic away from a program of the host without a word.
"""

import errno
import socket
from collections.abc import Sequence

from boxfleet.ports import runtime

_KINDS = {"TCP": socket.SOCK_STREAM, "UDP": socket.SOCK_DGRAM}


def taken(ports: Sequence[runtime.PortMapping]) -> str:
    """Which port a program of the host already has, in words; empty when all are free."""
    for port in ports:
        kind = _KINDS.get(port.protocol)
        if kind is None:
            continue
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind is socket.SOCK_STREAM:
                # Connections that only linger are no obstacle; a listener still is.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((port.host_ip or "0.0.0.0", port.host_port))  # noqa: S104  # nothing listens here
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    return (
                        f"host port {port.host_port}/{port.protocol} is taken by a program of this host: "
                        "stop that program or choose another hostPort"
                    )
    return ""
