"""Join tokens of hosts: for people by the command, for machines of NodePools one each."""

import base64
import datetime
import os
import urllib.parse
from collections.abc import Mapping, Sequence

from cryptography import x509

from boxfleet.api import config, meta, node
from boxfleet.apiserver.identity import join_tokens
from boxfleet.app import access, handing_over, paths, settings
from boxfleet.controllers.node_pool import joining
from boxfleet.kit import clock as clocks
from boxfleet.kit import ids
from boxfleet.ports import provider


def make(*, uses: int, expires: datetime.datetime, marks: join_tokens.Marks | None = None) -> joining.Token:
    """A token, good as soon as its Secret is there."""
    identifier, secret = ids.name_suffix(length=6), os.urandom(32).hex()
    data = join_tokens.data(secret, expires=clocks.stamp(expires), uses=uses, marks=marks)
    return joining.Token(
        identifier=identifier,
        token=f"{identifier}.{secret}",
        secret=config.Secret(
            metadata=meta.ObjectMeta(name=join_tokens.secret_name(identifier), namespace=join_tokens.NAMESPACE),
            type=join_tokens.TYPE,
            data={key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
        ),
    )


def pin(known: settings.Server) -> str:
    """The hash by which a host knows the authority: the first signs what the server shows, also during a rotation."""
    certificates = paths.of(known).ca_certificate.read_bytes()
    return handing_over.pin_of(x509.load_pem_x509_certificates(certificates)[0])


def is_loopback(server: str) -> bool:
    """Whether no other machine reaches a URL."""
    return urllib.parse.urlsplit(server).hostname in ("127.0.0.1", "::1", "localhost")


class PoolJoins:
    """Implements `joining.Joins` for machines of NodePools."""

    def __init__(self, known: settings.Server, *, clock: clocks.Clock) -> None:
        self._known = known
        self._clock = clock

    def where(self) -> tuple[str, str]:
        """This server, as other machines reach it."""
        server = access.announced_url(self._known)
        if is_loopback(server):
            raise provider.Refused(
                f"no other machine reaches {server}: boxfleet up --listen ADDRESS, or set `advertise`"
            )
        return server, pin(self._known)

    def token(
        self, name: str, *, labels: Mapping[str, str], taints: Sequence[node.Taint], seconds: float
    ) -> joining.Token:
        """Good for one use by that node."""
        marks = join_tokens.Marks(node=name, labels=dict(labels), taints=list(taints))
        return make(uses=1, expires=self._clock.now() + datetime.timedelta(seconds=seconds), marks=marks)

    def secret_of(self, identifier: str) -> tuple[str, str]:
        """Where join tokens are kept."""
        return join_tokens.NAMESPACE, join_tokens.secret_name(identifier)
