"""Answers on their way out: their headers, and how they are sent."""

import msgspec

from boxfleet.apiserver import faults, negotiate, route, wire


def failure(fault: faults.Fault) -> route.Answer:
    """A refusal."""
    return route.Answer(status=fault.code, body=msgspec.json.encode(fault.status()), headers=list(fault.headers))


def whole(call: route.Call, answer: route.Answer) -> route.Whole:
    """An answer with all of its headers."""
    body = answer.body
    if answer.content_type.startswith("application/json") and body and negotiate.wants_pretty(call):
        body = msgspec.json.format(body, indent=2) + b"\n"
    if answer.headers or call.warnings or answer.status == 304:
        lines = wire.lines(_headers(call, answer, len(body)))
    else:
        # As almost all have them. Nothing in here comes from a client.
        lines = (
            f"content-type: {answer.content_type}\r\ncontent-length: {len(body)}\r\n"
            f"cache-control: no-cache, private\r\naudit-id: {call.audit_id}\r\n"
        ).encode()
    return route.Whole(answer.status, lines, b"" if call.method == "HEAD" else body)


def _headers(call: route.Call, answer: route.Answer, size: int) -> list[tuple[bytes, bytes]]:
    own = {
        b"content-type": answer.content_type.encode(),
        b"content-length": b"%d" % size,
        b"cache-control": b"no-cache, private",
        b"audit-id": call.audit_id.encode(),
    }
    if answer.status == 304:
        del own[b"content-type"], own[b"content-length"]
    given = [(name.encode(), value.encode()) for name, value in answer.headers]
    for name, _ in given:
        own.pop(name, None)
    warnings = [(b"warning", route.warning_header(text)) for text in dict.fromkeys(call.warnings)]
    return [*own.items(), *warnings, *given]


async def send(scope: route.Scope, send: route.Send, answer: route.Whole) -> None:
    """Give an answer by ASGI's messages."""
    prefix = ""
    if scope["type"] == "websocket":
        # Refuse the handshake with a whole answer (ASGI extension "WebSocket Denial Response").
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
            return
        prefix = "websocket."
    start = {"type": f"{prefix}http.response.start", "status": answer.status, "headers": wire.headers(answer.lines)}
    await send(start)
    await send({"type": f"{prefix}http.response.body", "body": answer.body})
