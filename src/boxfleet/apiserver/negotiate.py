"""Content negotiation: which form of an object a client wants, and whether a body's type is understood."""

import dataclasses
import functools

from boxfleet.apiserver import faults, route

JSON = "application/json"
_FORMS = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """``as`` of an Accept header: empty for the object itself; `version` of meta.k8s.io for the others."""

    as_: str = ""
    version: str = "v1"


_WHOLE = Form()


# Clients send the same few again and again.
@functools.lru_cache(maxsize=256)
def accepted(header: str) -> Form:
    """The first form in an Accept header that the server can make; raises Fault 406."""
    if not header.strip():
        return _WHOLE
    known = False
    for part in header.split(","):
        media, *parameters = (piece.strip() for piece in part.split(";"))
        if media not in (JSON, "*/*"):
            continue
        known = True
        named = dict(parameter.split("=", 1) for parameter in parameters if "=" in parameter)
        wanted = named.get("as", "")
        if not wanted:
            return _WHOLE
        if wanted in _FORMS and named.get("g") == "meta.k8s.io" and named.get("v") in ("v1", "v1beta1"):
            return Form(as_=wanted, version=named["v"])
    raise faults.not_acceptable([JSON] if known else [])


def wants_pretty(call: route.Call) -> bool:
    """Whether somebody will read the answer."""
    if call.query and (pretty := call.one("pretty")):
        return pretty in ("1", "true")
    # People, not programs, call with these.
    return call.headers.get("user-agent", "").startswith(("curl", "Wget", "Mozilla/5.0"))


@functools.lru_cache(maxsize=256)
def content_type(header: str) -> str:
    """The media type of a body without its parameters; JSON when nothing is said."""
    return header.partition(";")[0].strip().lower() or JSON
