"""Large answers compressed by gzip for clients that want it (RFC 9110, 8.4.1), as Kubernetes does."""

import asyncio
import zlib

from boxfleet.apiserver import negotiate, route

# Kubernetes' bound: below it, compressing costs more than sending.
_FROM_BYTES = 128 * 1024
# From here on it takes several milliseconds, in which others are not kept waiting.
_OFF_THE_LOOP_FROM = 1024 * 1024
_LEVEL = 1
# Of zlib's window: the largest, in gzip's format.
_GZIP = 16 + zlib.MAX_WBITS


async def packed(call: route.Call, answer: route.Answer) -> route.Answer:
    """The answer, compressed when it is large and the client takes gzip. People read no compressed text."""
    body = answer.body
    if len(body) < _FROM_BYTES or not _takes_gzip(call.headers.get("accept-encoding", "")):
        return answer
    if negotiate.wants_pretty(call):
        return answer
    small = _gzip(body) if len(body) < _OFF_THE_LOOP_FROM else await asyncio.to_thread(_gzip, body)
    vary = [value for name, value in answer.headers if name == "vary"]
    headers = [header for header in answer.headers if header[0] != "vary"]
    headers += [("content-encoding", "gzip"), ("vary", ", ".join([*vary, "Accept-Encoding"]))]
    return route.Answer(status=answer.status, body=small, content_type=answer.content_type, headers=headers)


def _takes_gzip(header: str) -> bool:
    for part in header.split(","):
        name, _, weight = part.partition(";")
        if name.strip().lower() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    return packer.compress(body) + packer.flush()
