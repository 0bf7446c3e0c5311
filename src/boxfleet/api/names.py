"""Which names are allowed: of objects, labels, ports, variables and keys.

Each function gives a sentence that says what would be right, or None when the name is good. Forms are those of the
Kubernetes API conventions (RFC 1123, RFC 6335).
"""

import functools
import ipaddress
import re
from collections.abc import Callable

# Says what would be right, or None.
Check = Callable[[str], str | None]

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_LABEL_PART = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_PORT = re.compile(r"(?!.*--)[a-z0-9](?:[-a-z0-9]{0,13}[a-z0-9])?")
# Printable ASCII but '='.
_VARIABLE = re.compile(r"[ -<>-~]+")


def label(name: str) -> str | None:
    """A DNS label: what Boxes, Units, Namespaces, containers and volumes are named by."""
    if _LABEL.fullmatch(name):
        return None
    return (
        "must be a DNS label: lower-case letters, digits and '-', beginning and ending with a letter or digit, "
        "at most 63 characters, for example my-name"
    )


def subdomain(name: str) -> str | None:
    """A DNS subdomain: what most objects are named by."""
    if len(name) <= 253 and _SUBDOMAIN.fullmatch(name):
        return None
    return (
        "must be a DNS subdomain: lower-case letters, digits, '-' and '.', each part beginning and ending with a "
        "letter or digit, at most 253 characters, for example my-name.example"
    )


def address(name: str) -> str | None:
    """An IPv4 address in its one canonical form: what Address objects are named by."""
    try:
        if str(ipaddress.IPv4Address(name)) == name:
            return None
    except ValueError:
        pass
    return "must be an IPv4 address in its usual form, for example 10.88.0.7: the address is the object's name"


def label_key(key: str) -> str | None:
    """The key of a label, annotation, taint or finalizer: ``name`` or ``domain/name``."""
    prefix, slash, name = key.rpartition("/")
    if slash and (not prefix or len(prefix) > 253 or not _SUBDOMAIN.fullmatch(prefix)):
        return "must have a DNS subdomain before the '/', for example example.com/name"
    if not _LABEL_PART.fullmatch(name):
        return (
            "must be letters, digits, '-', '_' and '.', beginning and ending with a letter or digit, at most 63 "
            "characters, optionally after a domain and '/', for example example.com/my-name"
        )
    return None


def label_value(value: str) -> str | None:
    """The value of a label."""
    if value == "" or _LABEL_PART.fullmatch(value):
        return None
    return (
        "must be empty, or letters, digits, '-', '_' and '.', beginning and ending with a letter or digit, "
        "at most 63 characters"
    )


def config_key(key: str) -> str | None:
    """The key of a ConfigMap or Secret; it may become a file name."""
    if len(key) <= 253 and _is_config_key(key):
        return None
    return "must be letters, digits, '-', '_' and '.', not beginning with '..', at most 253 characters"


# The same few come always again.
@functools.lru_cache(maxsize=1024)
def _is_config_key(key: str) -> bool:
    return bool(_CONFIG_KEY.fullmatch(key)) and key != "." and not key.startswith("..")


def port(name: str) -> str | None:
    """The name of a port."""
    if _PORT.fullmatch(name) and any(letter.isalpha() for letter in name):
        return None
    return (
        "must be lower-case letters, digits and single '-', with at least one letter, at most 15 characters, "
        "for example http"
    )


def variable(name: str) -> str | None:
    """The name of an environment variable."""
    if _VARIABLE.fullmatch(name):
        return None
    return "must be printable ASCII characters without '=', for example DB_HOST"
