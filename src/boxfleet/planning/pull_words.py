"""Why an image could not be pulled, and what to do about it."""

import re

from boxfleet.planning import pull_secrets

DOCS = "docs/images.md"
# What containerd says around what the registry said.
_FRAME = re.compile(
    r'^(cannot pull image \S+: |rpc error: code = \w+ desc = |failed to pull and unpack image "[^"]*": '
    r'|failed to resolve reference "[^"]*": |failed to do request: |failed to parse image reference "[^"]*": )+'
)
_DENIED = re.compile(r"\b401\b|\b403\b|unauthorized|authorization failed|no basic auth|denied|forbidden", re.IGNORECASE)
_NO_TLS = re.compile(r"server gave HTTP response to HTTPS client|first record does not look like a TLS")
# What a server of TLS says to who speaks plain HTTP, which containerd does with loopback addresses.
_WANTS_TLS = re.compile(r"\b400 Bad Request\b|HTTP request to an HTTPS server")
_STRANGER = re.compile(r"x509: |certificate")
_SILENT = re.compile(
    r"connection refused|no route to host|network is unreachable|timeout|deadline exceeded|connection reset|\bEOF\b"
    r"|status(?: code)?[^:]*: 5\d\d"
)
_NO_HOST = re.compile(r"no such host|server misbehaving|name resolution")
_MISNAMED = re.compile(r"invalid reference format")
_ABSENT = re.compile(r"not found|manifest unknown|name unknown", re.IGNORECASE)


def explain(reference: str, cause: str, keys: pull_secrets.Keys, *, settings: str = "") -> str:
    """One sentence with the registry's own words, then the remedy.

    `settings` says where the engine is told about registries; Boxfleet's own one is, when it is empty.
    """
    words = f"cannot pull image {reference}: {_FRAME.sub('', cause)}"
    remedy = _remedy(reference, words, keys, settings)
    return f"{words}; {remedy}" if remedy else words


def is_misnamed(words: str) -> bool:
    """Whether no registry can have an image of that name, so that asking again is of no use."""
    return _MISNAMED.search(words) is not None


def _remedy(reference: str, words: str, keys: pull_secrets.Keys, settings: str) -> str:
    host, _ = pull_secrets.split(reference)
    settings = settings or f"STATE/registries/{host}/hosts.toml, see {DOCS}"
    if is_misnamed(words):
        return "correct `image`: NAME:TAG or HOST[:PORT]/NAME:TAG, with a name in lower case"
    if _NO_TLS.search(words):
        return f"{host} speaks plain HTTP: say so in {settings}"
    if _WANTS_TLS.search(words):
        return f"{host} may speak HTTPS, and was spoken to in plain HTTP: say so in {settings}"
    if _STRANGER.search(words):
        return f"name the authority that signed the certificate of {host} in {settings}"
    if _NO_HOST.search(words):
        return f"no name server knows {host}: correct the image's name, or this host's resolver"
    if _SILENT.search(words):
        return f"see whether the registry {host} runs and this host reaches it; the pull is tried again by itself"
    if _DENIED.search(words):
        return _remedy_of_denial(host, keys)
    if _ABSENT.search(words):
        return f"push the image to {host}, or correct its name and tag; the pull is tried again by itself"
    return ""


def _remedy_of_denial(host: str, keys: pull_secrets.Keys) -> str:
    if keys.credentials:
        used = ", ".join(dict.fromkeys(one.secret for one in keys.credentials))
        return (
            f"{host} refuses the name and password of Secret {used}, or keeps the image from them: correct the Secret"
        )
    if keys.faults:
        return f"{host} wants a password, and there is none: " + "; ".join(keys.faults)
    return (
        f"{host} wants a password: kubectl create secret docker-registry NAME --docker-server={host} "
        "--docker-username=USER --docker-password=PASSWORD, and name it in imagePullSecrets of the pod or of its "
        "ServiceAccount"
    )
