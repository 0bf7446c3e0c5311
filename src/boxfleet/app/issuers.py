"""Which other issuers' users are let in: ``authentication.yaml`` in the state folder."""

import pathlib
from collections.abc import Sequence

import msgspec
import yaml

from boxfleet.apiserver.identity import oidc


class IssuersError(Exception):
    """The file cannot be used; the text says why and what to do."""


def load(path: pathlib.Path) -> Sequence[oidc.Trusted]:
    """The issuers that the file names; none when there is no file. Raises IssuersError."""
    try:
        found = yaml.safe_load(path.read_text()) or {}
        return msgspec.convert(found, oidc.Configuration).jwt
    except FileNotFoundError:
        return []
    except (yaml.YAMLError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise IssuersError(f"{path}: {error}; mend it, or take it away to let no users of other issuers in") from None
