"""How a machine becomes a further server: with a token it fetches what another server has, and keeps it as its own.

Nothing is changed before all is there and was found good. What a crash cuts off, the same command completes: the token
is bound to a claim that was written down before it was shown. A server that joined before fetches anew in the same way.
"""

import asyncio
import contextlib
import dataclasses
import datetime
import http.client
import os
import pathlib
import re
import ssl
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization

import boxfleet
from boxfleet.api import roles
from boxfleet.app import (
    access,
    credentials,
    fixed,
    handing_over,
    objects,
    paths,
    secret_keys,
    server_tokens,
    settings,
    token_keys,
)
from boxfleet.client import errors as api_errors
from boxfleet.kit import durable, ids
from boxfleet.store import errors, transfer, where
from boxfleet.store import settings as store_settings
from boxfleet.store import store as stores

Say = Callable[[str], None]
T = TypeVar("T")

_PIN = re.compile(r"sha256:[0-9a-f]{64}")
# Seconds that the other server may be silent.
_PATIENCE = 30.0
# Bytes of an answer, which is not known to come from the right server at first.
_LARGEST = 2**22
# What is the same on all servers, since objects in the store are built on it.
_SHARED = ("domain", "cidr", "bridge")
_AGAIN = "boxfleet server token on the other server makes another one"


class JoinError(Exception):
    """This machine cannot join; the text says why and what to do."""


class _Unanswered(JoinError):
    """The keys may have been given, and did not arrive."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """The server to join: its URL, by which hash its authority is known, and a token that it made."""

    url: str
    authority: str
    token: str = dataclasses.field(repr=False)
    # How to get another token.
    again: str = _AGAIN


class _Claim(msgspec.Struct, kw_only=True):
    token: str
    claim: str


async def join(known: settings.All, other: Other, *, say: Say) -> settings.All:
    """Fetch what the other server has, and the settings to start with. Raises JoinError, with nothing changed."""
    own = paths.of(known)
    _check(known, other)
    if not own.joining.exists() and _read(own.joined) == mark(other):
        say("this machine has joined by this token already")
        return known
    begun, is_new = _begin(own, other)
    try:
        keys = await asyncio.to_thread(_fetch, other, known, begun.claim)
        wanted = _settings(known, keys)
        await _check_store(wanted, keys)
        _check_newer(own, keys)
    except _Unanswered:
        raise
    except BaseException:
        if is_new:
            _forget(own)
        raise
    _keep(wanted, keys)
    durable.write(own.joined, mark(other), mode=0o600)
    own.joining.unlink()
    say(f"this machine has the keys of {other.url} and shares its store, {objects.place(wanted)}")
    return wanted


def unfinished(own: paths.Paths) -> str:
    """What to say to whoever starts a server that was cut off while it joined; empty when none was."""
    if not own.joining.exists():
        return ""
    return (
        "this machine was joining another server and was cut off: run boxfleet up --join again, with the same token or "
        f"another one. If it shall not join: rm {own.joining}"
    )


def _check(known: settings.All, other: Other) -> None:
    """What can be said before anything is asked."""
    own = paths.of(known)
    check_place(other)
    if not server_tokens.public_part(other.token):
        raise JoinError(f"this is not a token of boxfleet server token, which begins with server-: {_AGAIN}")
    if own.joining.exists():
        return
    if own.fixed.exists():
        if not fixed.store(known):
            raise JoinError(
                f"this machine has a Boxfleet of its own, with its objects in {own.store.parent}: begin anew, which "
                "loses them (boxfleet down --purge), or take another state folder (--state)"
            )
    elif (own.pki / "ca.key").exists() and not own.joined.exists():
        raise JoinError(
            f"there are keys in {own.pki}, and no server was started with them: if they are the other server's, leave "
            f"--join out; else move them away: mv {own.pki} {own.pki}.old"
        )


def check_place(other: Other) -> None:
    """Raise JoinError when URL or hash are none."""
    if urllib.parse.urlsplit(other.url).scheme != "https" or not urllib.parse.urlsplit(other.url).hostname:
        raise JoinError(f"{other.url!r} is not the URL of a server, such as https://192.0.2.1:7443")
    if _PIN.fullmatch(other.authority) is None:
        raise JoinError(
            "the authority is known by a hash, sha256: and 64 hexadecimal digits: take the line as it is said"
        )


def _begin(own: paths.Paths, other: Other) -> tuple[_Claim, bool]:
    """What the token is bound to, and whether that is new."""
    token = credentials.digest(other.token)
    with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
        before = msgspec.json.decode(own.joining.read_bytes(), type=_Claim)
        if before.token == token:
            return before, False
    is_new = not own.joining.exists()
    own.state.mkdir(mode=0o755, parents=True, exist_ok=True)
    begun = _Claim(token=token, claim=ids.new_token())
    durable.write(own.joining, msgspec.json.encode(begun), mode=0o600)
    return begun, is_new


def _forget(own: paths.Paths) -> None:
    own.joining.unlink(missing_ok=True)
    # It was made for this alone, or is not empty.
    with contextlib.suppress(OSError):
        own.state.rmdir()


def _fetch(other: Other, known: settings.All, claim: str) -> handing_over.Keys:
    """First the authority from whoever answers; then, held against its hash, the keys from who has its certificate."""
    shown = server_tokens.public_part(other.token)
    try:
        found = asked(other, anybody(), "GET", roles.AUTHORITY_PATH, token=shown, kind=handing_over.Authority)
    except _Unanswered as error:
        # Nothing was given yet.
        raise JoinError(str(error)) from None
    wish = handing_over.Wish(version=boxfleet.__version__, node=known.node, claim=claim)
    trusted = trusting(other, found.certificates)
    return asked(other, trusted, "POST", handing_over.KEYS_PATH, token=other.token, kind=handing_over.Keys, body=wish)


def anybody() -> ssl.SSLContext:
    """TLS with whoever answers, for what is held against a hash afterwards."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    return tls


def trusting(other: Other, certificates: str) -> ssl.SSLContext:
    """TLS with who has a certificate of the authority that was meant; raises JoinError when that is not among these."""
    try:
        known = x509.load_pem_x509_certificates(certificates.encode())
        meant = [each for each in known if handing_over.pin_of(each) == other.authority]
        if not meant:
            raise JoinError(
                f"{other.url} has another authority than the one that was meant, {other.authority}: it is another "
                f"server, somebody stands in between, or its authority was changed meanwhile. {other.again}, with "
                "the hash"
            )
        return ssl.create_default_context(cadata=meant[0].public_bytes(serialization.Encoding.DER))
    except ValueError:
        raise JoinError(f"{other.url} does not answer as a server of Boxfleet does") from None


def asked(
    other: Other, tls: ssl.SSLContext, method: str, path: str, *, token: str, kind: type[T], body: object = None
) -> T:
    """One request on a connection of its own; raises JoinError."""
    parts = urllib.parse.urlsplit(other.url)
    connection = http.client.HTTPSConnection(parts.hostname or "", parts.port or 443, timeout=_PATIENCE, context=tls)
    try:
        connection.connect()
    except ssl.SSLCertVerificationError as error:
        raise JoinError(
            f"the certificate of {other.url} is not what it should be ({error.verify_message}): its settings `names`, "
            "`listen` and `advertise` say what it is for"
        ) from None
    except OSError as error:
        raise JoinError(
            f"{api_errors.unreachable(other.url, error).message}; it must listen where this machine reaches it "
            "(boxfleet up --listen there)"
        ) from None
    try:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "User-Agent": "boxfleet"}
        connection.request(method, path, body=None if body is None else msgspec.json.encode(body), headers=headers)
        answer = connection.getresponse()
        content = answer.read(_LARGEST)
    except (OSError, http.client.HTTPException) as error:
        raise _Unanswered(f"{api_errors.unreachable(other.url, error).message}; run the same command again") from None
    finally:
        connection.close()
    if answer.status == 401:
        raise JoinError(f"{other.url} does not know this token: it is wrong, or has ended. {other.again}")
    if answer.status >= 400:
        raise JoinError(f"{other.url} refuses: {api_errors.from_body(answer.status, content).message}")
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError:
        raise JoinError(f"{other.url} does not answer as a server of Boxfleet {boxfleet.__version__} does") from None


def _settings(known: settings.All, keys: handing_over.Keys) -> settings.All:
    """The settings of this machine, with what all servers share; raises JoinError when that is set otherwise here."""
    changed: dict[str, Any] = {}
    for name in _SHARED:
        mine, theirs = getattr(known, name), getattr(keys, name)
        if mine not in (theirs, getattr(settings.All(), name)):
            raise JoinError(
                f"{name} is {mine} here and {theirs} on the other server, and must be the same: leave it out"
            )
        changed[name] = theirs
    changed["store"] = known.store or keys.store
    file = str(paths.of(known).store_password)
    if keys.store_password and known.store_password_file in ("", file):
        changed["store_password_file"] = file
    return dataclasses.replace(known, **changed)


def _check_newer(own: paths.Paths, keys: handing_over.Keys) -> None:
    """Raise JoinError when this server has newer keys than the other one, which would be lost."""
    try:
        mine, theirs = _read(own.secret_keys), keys.files["pki/secrets.keys"]
        is_newer = bool(mine) and bool(secret_keys.ids(mine, source="") - secret_keys.ids(theirs, source=""))
        mine, theirs = _read(own.token_keys), keys.files["pki/tokens.keys"]
        is_newer |= bool(mine) and token_keys.newest(mine) > token_keys.newest(theirs)
        mine, theirs = _read(own.ca_certificate), keys.files["pki/ca.crt"]
        is_newer |= bool(mine) and _latest(mine) > _latest(theirs)
    except (KeyError, ValueError, secret_keys.KeyFileError) as error:
        raise JoinError(f"the keys here, or those of the other server, cannot be used: {error}") from None
    if is_newer:
        raise JoinError(
            "keys were changed on this server, and the other one has not got them yet: make a token here, by boxfleet "
            "server token, and run boxfleet up --join there"
        )


def _latest(certificates: bytes) -> datetime.datetime:
    return max(each.not_valid_before_utc for each in x509.load_pem_x509_certificates(certificates))


async def _check_store(wanted: settings.All, keys: handing_over.Keys) -> None:
    """Raise JoinError unless the database answers here, and is the one that the other server uses."""
    try:
        with _in_memory(keys.store_password) as file:
            is_theirs = wanted.store_password_file == str(paths.of(wanted).store_password)
            trial = dataclasses.replace(wanted, store_password_file=file) if is_theirs else wanted
            place = objects.place(trial)
            if not isinstance(place, where.Postgres):
                raise JoinError(f"the store here is {wanted.store}, and servers share a PostgreSQL only: leave it out")
            await transfer.head(place, settings=store_settings.Settings())
            store = await stores.Store.open(place)
    except errors.StoreError as error:
        raise JoinError(
            f"{error}. The store must be reached from this machine as from the other server: mend that, or name the "
            "same database by BOXFLEET_STORE, and its password's file by BOXFLEET_STORE_PASSWORD_FILE. The token is "
            f"used: {_AGAIN}"
        ) from None
    try:
        if not keys.fleet or handing_over.fleet_of(store) != keys.fleet:
            raise JoinError(
                f"{place}, which the settings here name, is not the database that the other server uses: leave it out. "
                f"If this machine has a Boxfleet of its own there, begin anew: boxfleet down --purge. {_AGAIN}"
            )
    finally:
        await store.close()


@contextlib.contextmanager
def _in_memory(text: str) -> Iterator[str]:
    """The path of a file that is on no disk."""
    handle = os.memfd_create("boxfleet")
    try:
        os.fchmod(handle, 0o600)
        os.write(handle, text.encode())
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)


def _keep(wanted: settings.All, keys: handing_over.Keys) -> None:
    """Write everything where a server looks for it; harmless when repeated."""
    own = paths.of(wanted)
    for folder in (own.pki, own.credentials):
        paths.make_private(folder)
    if wanted.store_password_file == str(own.store_password):
        durable.write(own.store_password, keys.store_password.encode() + b"\n", mode=0o600)
    for name, mode in handing_over.FILES.items():
        if name in keys.files:
            durable.write(own.state / name, keys.files[name], mode=mode)
        elif name.startswith("pki/"):
            # A rotation that was finished.
            (own.state / name).unlink(missing_ok=True)
    settings.save(wanted)
    if keys.admin_token:
        credentials.adopt(own, token=keys.admin_token, server=access.url_of(wanted))


def mark(other: Other) -> bytes:
    """By what a token is known again."""
    return msgspec.json.encode({"token": credentials.digest(other.token)}) + b"\n"


def _read(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
