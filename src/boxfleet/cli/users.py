"""``boxfleet user``: users with a password."""

import asyncio
import base64
import getpass
import http.client
import pathlib
import ssl
import urllib.parse
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from boxfleet.api import config, meta
from boxfleet.apiserver.identity import local_users, passwords
from boxfleet.app import access, credentials, paths, settings
from boxfleet.cli import faults, options, output
from boxfleet.client import errors
from boxfleet.kit import durable


def add(known: settings.All, name: str, *, groups: list[str], password_file: str, kubeconfig: str | None) -> int:
    """Make a user."""
    if not name or ":" in name or not name.isprintable() or name.startswith("system:"):
        raise faults.CommandFailed(f"{name!r} cannot be a user's name: it is printable, without a colon")
    if reserved := [each for each in groups if each.startswith("system:") or not each.isprintable()]:
        raise faults.CommandFailed(f"group {reserved[0]!r} cannot be given: bind a role to the user or a group instead")
    content = local_users.data(name, _new_password(password_file), groups)
    secret = config.Secret(
        metadata=meta.ObjectMeta(
            name=local_users.secret_name(name), namespace=local_users.NAMESPACE, labels={local_users.LABEL: "true"}
        ),
        type=local_users.TYPE,
        data=_encoded(content),
    )

    async def work() -> None:
        async with access.way(known, kubeconfig) as api:
            await api.create(secret)

    try:
        asyncio.run(work())
    except errors.AlreadyExists:
        raise faults.CommandFailed(f"there is a user {name}: boxfleet user password changes the password") from None
    output.say(f"user {name} may log in: boxfleet user login {name} FILE")
    return 0


def password(known: settings.All, name: str, *, password_file: str, kubeconfig: str | None) -> int:
    """Change a password."""
    content = {"hash": passwords.hashed(_new_password(password_file))}

    async def work() -> None:
        async with access.way(known, kubeconfig) as api:
            await api.patch(
                config.Secret,
                local_users.secret_name(name),
                {"data": _encoded(content)},
                namespace=local_users.NAMESPACE,
            )

    _about(name, work)
    output.say(f"user {name} has a new password; earlier logins have ended")
    return 0


def remove(known: settings.All, name: str, *, kubeconfig: str | None) -> int:
    """Remove a user."""

    async def work() -> None:
        async with access.way(known, kubeconfig) as api:
            await api.delete(config.Secret, local_users.secret_name(name), namespace=local_users.NAMESPACE)

    _about(name, work)
    output.say(f"user {name} is removed")
    return 0


def show(known: settings.All, form: options.Format, *, kubeconfig: str | None) -> int:
    """List users; hashes are not shown."""

    async def work() -> list[config.Secret]:
        async with access.way(known, kubeconfig) as api:
            return (await api.list(config.Secret, namespace=local_users.NAMESPACE, labels=local_users.LABEL)).items

    found = sorted(
        (_text(each, "name"), _text(each, "groups").split())
        for each in asyncio.run(work())
        if each.type == local_users.TYPE
    )
    if form is not options.Format.TEXT:
        output.data([{"name": name, "groups": groups} for name, groups in found], form)
        return 0
    for line in output.columns([("USER", "GROUPS"), *((name, ", ".join(groups) or "-") for name, groups in found)]):
        output.say(line)
    return 0


def login(known: settings.All, name: str, file: str, *, server: str, authority: str, password_file: str) -> int:
    """Log in and write a kubeconfig."""
    where = pathlib.Path(authority) if authority else paths.of(known).ca_certificate
    url = server or access.url_of(known)
    word = _read(password_file) if password_file else getpass.getpass("Password: ")
    token = _token(url, where, name, word)
    content = credentials.kubeconfig(server=url, authority=where.read_bytes(), token=token, user=name)
    durable.write(pathlib.Path(file), content, mode=0o600)
    output.say(f"logged in as {name}: kubectl --kubeconfig {file}")
    return 0


def _token(url: str, authority: pathlib.Path, name: str, word: str) -> str:
    parts = urllib.parse.urlsplit(url)
    context = ssl.create_default_context(cafile=str(authority))
    connection = http.client.HTTPSConnection(parts.hostname or "", parts.port or 443, timeout=30, context=context)
    basic = base64.b64encode(f"{name}:{word}".encode()).decode()
    try:
        connection.request("POST", local_users.PATH, headers={"Authorization": f"Basic {basic}"})
        answer = connection.getresponse()
        body = msgspec.json.decode(answer.read())
    except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
        raise faults.CommandFailed(f"{url} does not answer: {error}") from None
    finally:
        connection.close()
    if answer.status == 401:
        raise faults.CommandFailed("there is no such user with this password")
    if answer.status != 201:
        raise faults.CommandFailed(str(body.get("message", answer.reason)))
    return str(body["token"])


def _about(name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    try:
        asyncio.run(work())
    except errors.NotFound:
        raise faults.CommandFailed(f"there is no user {name} with a password: boxfleet user list") from None


def _new_password(file: str) -> str:
    word = _read(file) if file else getpass.getpass("New password: ")
    if not passwords.SHORTEST <= len(word) <= passwords.LONGEST:
        raise faults.CommandFailed(f"a password has {passwords.SHORTEST} to {passwords.LONGEST} characters")
    if not file and getpass.getpass("The same again: ") != word:
        raise faults.CommandFailed("the two passwords are not the same")
    return word


def _read(file: str) -> str:
    try:
        return pathlib.Path(file).read_text().partition("\n")[0]
    except (OSError, UnicodeDecodeError) as error:
        raise faults.CommandFailed(f"cannot read {file}: {error}") from None


def _encoded(data: dict[str, str]) -> dict[str, str]:
    return {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}


def _text(secret: config.Secret, key: str) -> str:
    return base64.b64decode(secret.data.get(key, "")).decode(errors="replace")
