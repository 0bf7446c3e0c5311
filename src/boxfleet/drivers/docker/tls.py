"""The keys with which an engine is reached over the network."""

import os
import ssl
from collections.abc import Mapping

from boxfleet.ports import cluster

CA, CERTIFICATE, KEY = "ca.crt", "tls.crt", "tls.key"


def context(credentials: Mapping[str, bytes]) -> ssl.SSLContext:
    """TLS with a certificate of our own, and the engine's held against its authority. Raises Denied."""
    lacking = [name for name in (CA, CERTIFICATE, KEY) if not credentials.get(name)]
    if lacking:
        raise cluster.Denied(
            f"cannot reach a Docker engine over the network without {', '.join(lacking)}: put them into the Secret "
            "that spec.credentials.secret names (an engine without TLS gives everybody root, and is not used)"
        )
    try:
        made = ssl.create_default_context(cadata=credentials[CA].decode())
        # The module reads keys from files only; this one is on no disk.
        descriptor = os.memfd_create("keys")
        try:
            os.write(descriptor, credentials[CERTIFICATE] + b"\n" + credentials[KEY])
            made.load_cert_chain(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
    except (ssl.SSLError, ValueError) as error:
        raise cluster.Denied(f"cannot use the credentials for the Docker engine: {error}: correct the Secret") from None
    return made
