"""The way to a cluster, from a kubeconfig that is given as text.

What needs a program or a file of the machine where the kubeconfig was made is refused, and so is TLS without a check.
"""

import base64
import binascii
import contextlib
import dataclasses
import datetime
import os
import ssl
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import yaml
from cryptography import x509

from boxfleet.ports import cluster

_FLATTEN = "make one that holds everything itself: kubectl config view --minify --flatten --raw"
_FILES = ("client-certificate", "client-key", "tokenFile")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where the API is, and who comes. `server_name` is empty unless the certificate is for another name."""

    url: str
    tls: ssl.SSLContext
    server_name: str = ""
    token: str = dataclasses.field(default="", repr=False)
    # When the credentials end, as far as they tell.
    expires: datetime.datetime | None = None

    @property
    def hint(self) -> str:
        """What is known of the credentials' age, for messages; empty when nothing."""
        if self.expires is None:
            return ""
        verb = "expired" if self.expires <= datetime.datetime.now(datetime.UTC) else "are valid until"
        return f"they {verb} {self.expires:%Y-%m-%dT%H:%M:%SZ}"


def parse(text: str) -> Access:
    """Read a kubeconfig; raises Denied with what is wrong and what to do."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError:
        # The parser's own words would quote the text.
        raise _wrong("it is not YAML") from None
    if not isinstance(document, dict):
        raise _wrong("it is no kubeconfig")
    context = _named(document, "contexts", "context", str(document.get("current-context") or ""))
    place = _named(document, "clusters", "cluster", str(context.get("cluster") or ""))
    user = _named(document, "users", "user", str(context.get("user") or ""))
    _refuse(place, user)
    authority, certificate, key = (
        _data(place, "certificate-authority-data"),
        _data(user, "client-certificate-data"),
        _data(user, "client-key-data"),
    )
    token = str(user.get("token") or "")
    if not token and not (certificate and key):
        raise _wrong("its user has neither a token nor a client certificate with its key")
    return Access(
        url=_url(place),
        tls=_context(authority, certificate, key),
        server_name=str(place.get("tls-server-name") or ""),
        token=token,
        expires=_token_end(token) if token else _certificate_end(certificate),
    )


def _wrong(why: str, remedy: str = "") -> cluster.Denied:
    return cluster.Denied(f"cannot use the kubeconfig: {why}" + (f"; {remedy}" if remedy else ""))


def _named(document: Mapping[str, Any], plural: str, singular: str, name: str) -> Mapping[str, Any]:
    for entry in document.get(plural) or ():
        if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(singular), dict):
            found: Mapping[str, Any] = entry[singular]
            return found
    raise _wrong(f"it has no {singular} {name!r}")


def _refuse(place: Mapping[str, Any], user: Mapping[str, Any]) -> None:
    if "exec" in user or "auth-provider" in user:
        raise _wrong(
            "its user gets credentials from a program, which is not run here",
            "use the token of a ServiceAccount, see `boxfleet cluster rbac`",
        )
    for name in ("as", "as-groups", "as-user-extra", "username", "password"):
        if user.get(name):
            raise _wrong(f"{name!r} of its user is not supported", "use a token or a client certificate")
    for part, name in ((place, "certificate-authority"), *((user, name) for name in _FILES)):
        if part.get(name):
            raise _wrong(f"{name!r} names a file of another machine", _FLATTEN)
    if place.get("insecure-skip-tls-verify"):
        raise _wrong(
            "it says insecure-skip-tls-verify, and everybody on the way could take the credentials",
            "give certificate-authority-data instead",
        )
    if place.get("proxy-url"):
        raise _wrong("'proxy-url' is not supported", "give a server that is reached directly")


def _url(place: Mapping[str, Any]) -> str:
    server = str(place.get("server") or "").rstrip("/")
    parts = urllib.parse.urlsplit(server)
    if parts.scheme != "https" or not parts.hostname:
        raise _wrong(f"its server {server!r} is no https URL")
    return server


def _data(part: Mapping[str, Any], name: str) -> bytes:
    try:
        return base64.b64decode(str(part.get(name) or ""), validate=True)
    except binascii.Error:
        raise _wrong(f"{name!r} is not base64") from None


def _context(authority: bytes, certificate: bytes, key: bytes) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=authority.decode() if authority else None)
        if certificate and key:
            with _in_memory(certificate + b"\n" + key) as path:
                context.load_cert_chain(path)
    except (ssl.SSLError, ValueError, OSError) as error:
        raise _wrong(f"its certificates cannot be used: {error}") from None
    return context


@contextlib.contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """A path that leads to content which is on no disk."""
    descriptor = os.memfd_create("key", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _certificate_end(pem: bytes) -> datetime.datetime | None:
    try:
        return x509.load_pem_x509_certificate(pem).not_valid_after_utc
    except ValueError:
        raise _wrong("its client certificate cannot be read") from None


class _Claims(msgspec.Struct):
    exp: int | None = None


def _token_end(token: str) -> datetime.datetime | None:
    """When a token of RFC 7519's form ends; others do not tell."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=="), type=_Claims)
    except (ValueError, msgspec.MsgspecError):
        return None
    return datetime.datetime.fromtimestamp(claims.exp, datetime.UTC) if claims.exp else None
