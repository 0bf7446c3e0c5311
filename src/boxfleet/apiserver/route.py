"""Routes: what is served where, and what it takes to be let in. Every route declares its access."""

import dataclasses
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any

import msgspec

from boxfleet.apiserver import authn, fairness, faults

# The parts of an ASGI call (asgi.readthedocs.io, version 3).
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

WEBSOCKET = "WEBSOCKET"

# Beginnings of paths that the router remembers, and the longest one, in characters.
_REMEMBERED = 1024
_LONGEST = 512


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a route does, in the words of authorization. A route without resource is judged by its path."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""


# Structs, since one is made for each request.
class Call(msgspec.Struct, kw_only=True, eq=False):
    """One request on its way through a handler."""

    method: str
    path: str
    # From the route's path: namespace, name and whatever else stands in braces there.
    params: dict[str, str]
    query: dict[str, list[str]]
    headers: dict[str, str]
    user: authn.User
    # For handlers that speak ASGI themselves (streams, websockets); they return None.
    scope: Scope
    receive: Receive
    send: Send
    # Set once one is found.
    route: "Route | None" = None
    # What the metrics and the audit log keep of requests like this one, once they know that.
    counts: Any = None
    audited: Any = None
    # Paths of fields that the body says twice.
    duplicates: Sequence[str] = ()
    # Who really calls, when `user` is somebody else.
    impersonator: authn.User | None = None
    # Texts for Warning headers.
    warnings: list[str] = msgspec.field(default_factory=list)
    # A patch made an object that was not there: answered by 201.
    created: bool = False
    # What the audit log and the client know the request by, whether it was let in (None: that was never asked), why
    # it failed, and the recording that holds its session.
    audit_id: str = ""
    authorized: bool | None = None
    fault: faults.Fault | None = None
    recording: str = ""
    # Which requests it counts among while it is under way, and for how long it waited to be, in seconds.
    lane: fairness.Lane | None = None
    waited: float = 0.0

    def one(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        values = self.query.get(name)
        return values[0] if values else default

    def flag(self, name: str) -> bool:
        """A query parameter as yes or no, its bare name being a yes; raises Fault 400 on anything else."""
        if name not in self.query:
            return False
        value = self.one(name)
        if value in ("", "1", "t", "T", "true", "TRUE", "True"):
            return True
        if value in ("0", "f", "F", "false", "FALSE", "False"):
            return False
        raise faults.bad_request(
            f'invalid query parameter {name}: strconv.ParseBool: parsing "{value}": invalid syntax'
        )


class Answer(msgspec.Struct, kw_only=True, eq=False):
    """A whole answer."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: list[tuple[str, str]] = msgspec.field(default_factory=list)


class Whole(msgspec.Struct, frozen=True, eq=False):
    """A whole answer as it goes over the wire; `lines` are its headers, each with its end."""

    status: int
    lines: bytes
    body: bytes


Handler = Callable[[Call], Awaitable[Answer | None]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Route:
    """One method (or WEBSOCKET) on one path, such as ``/api/v1/namespaces/{namespace}/pods/{name}/log``.

    A parameter is a whole segment; ``{rest*}`` at the end takes all that follows. A handler returns an Answer, or
    None when it has answered through ``call.send``.
    """

    method: str
    path: str
    access: Access
    handle: Handler


class _Node:
    __slots__ = ("literal", "methods", "rest", "wild")

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.wild: _Node | None = None
        self.rest: _Node | None = None
        self.methods: dict[str, tuple[Route, tuple[str, ...]]] = {}


class Router:
    """Finds the route of a request; literal segments win over parameters."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        # Where the paths before the last slash lead that were asked for lately, and their parameters.
        self._lately: dict[str, tuple[_Node, list[str]]] = {}
        self.routes: list[Route] = []
        for route in routes:
            self._add(route)

    def add(self, routes: Iterable[Route]) -> None:
        """Serve further routes, from now on."""
        for route in routes:
            self._add(route)

    def remove(self, routes: Iterable[Route]) -> None:
        """Serve routes no longer."""
        self._lately.clear()
        for route in routes:
            self._drop(self._root, _segments(route.path), route.method)
            self.routes.remove(route)

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The route and its parameters; raises Fault 404 or 405."""
        node, values = self._walk(path)
        if node is None:
            raise faults.no_such_path()
        found = node.methods.get(method)
        if found is None and method == "HEAD":
            found = node.methods.get("GET")
            if found is not None and found[0].access.resource:
                # As Kubernetes, which knows no HEAD of objects.
                found = None
        if found is None:
            raise faults.method_not_allowed()
        route, names = found
        return route, dict(zip(names, values, strict=True))

    def _walk(self, path: str) -> tuple[_Node | None, list[str]]:
        """The node of a path and its parameters. A literal wherever there is one: nothing is better."""
        before, _, last = path.rpartition("/")
        known = self._lately.get(before) or self._learn(before)
        if known is not None and last:
            node, values = known
            following = node.literal.get(last)
            if following is None and node.wild is not None:
                following, values = node.wild, [*values, last]
            if following is not None and following.methods:
                return following, values
        # A path may end in one slash, as the real server allows.
        return self._search(path[1:].removesuffix("/").split("/") if path != "/" else [])

    def _learn(self, path: str) -> tuple[_Node, list[str]] | None:
        """The way to a path that is not remembered: one step from what is above it.

        Names of objects come and go, so a path that ends in one is not remembered itself; what is above it is.
        """
        if not path:
            return self._root, []
        above, _, last = path.rpartition("/")
        known = self._lately.get(above)
        if known is None:
            known = self._way(above)
            if known is None:
                return None
            self._remember(above, known)
        node, values = known
        following = node.literal.get(last)
        if following is None:
            return (node.wild, [*values, last]) if node.wild is not None and last else None
        self._remember(path, found := (following, values))
        return found

    def _way(self, path: str) -> tuple[_Node, list[str]] | None:
        node = self._root
        values: list[str] = []
        for segment in path.split("/")[1:]:
            following = node.literal.get(segment)
            if following is None:
                following = node.wild
                if following is None or not segment:
                    return None
                values.append(segment)
            node = following
        return node, values

    def _remember(self, path: str, found: tuple[_Node, list[str]]) -> None:
        if len(self._lately) >= _REMEMBERED:
            self._lately.clear()
        # Anybody may choose names that stand in a path: long ones are not kept.
        if len(path) <= _LONGEST:
            self._lately[path] = found

    def _search(self, segments: Sequence[str]) -> tuple[_Node | None, list[str]]:
        """The same where the straight way leads to nothing."""
        node: _Node | None = self._root
        at, end = 0, len(segments)
        values: list[str] = []
        # Other ways that could have been taken, each with where it goes on and how many parameters stood before it.
        ways: list[tuple[_Node, int, list[str]]] = []
        while node is not None:
            if at == end:
                if node.methods:
                    return node, values
                following = None
            else:
                segment = segments[at]
                following = node.literal.get(segment)
                if node.rest is not None:
                    ways.append((node.rest, end, [*values, "/".join(segments[at:])]))
                if node.wild is not None and segment:
                    if following is None:
                        following = node.wild
                        values.append(segment)
                    else:
                        ways.append((node.wild, at + 1, [*values, segment]))
            if following is not None:
                node, at = following, at + 1
            elif ways:
                node, at, values = ways.pop()
            else:
                node = None
        return None, []

    def _drop(self, node: _Node, segments: Sequence[str], method: str) -> None:
        """Take a route out, and the nodes that only it needed."""
        if not segments:
            del node.methods[method]
            return
        segment, rest = segments[0], segments[1:]
        below = node.rest if segment.endswith("*}") else node.wild if segment.startswith("{") else node.literal[segment]
        assert below is not None
        self._drop(below, rest, method)
        if below.methods or below.literal or below.wild or below.rest:
            return
        if below is node.rest:
            node.rest = None
        elif below is node.wild:
            node.wild = None
        else:
            del node.literal[segment]

    def _add(self, route: Route) -> None:
        self._lately.clear()
        node = self._root
        names = []
        for segment in _segments(route.path):
            if segment.startswith("{") and segment.endswith("*}"):
                names.append(segment[1:-2])
                node.rest = node.rest or _Node()
                node = node.rest
            elif segment.startswith("{"):
                names.append(segment[1:-1])
                node.wild = node.wild or _Node()
                node = node.wild
            else:
                node = node.literal.setdefault(segment, _Node())
        if route.method in node.methods:
            raise ValueError(f"two routes for {route.method} {route.path}")
        node.methods[route.method] = (route, tuple(names))
        self.routes.append(route)


def _segments(path: str) -> list[str]:
    return path.split("/")[1:] if path != "/" else []


def warning_header(text: str) -> bytes:
    """A Warning header (RFC 7234, 5.5) as Kubernetes writes it."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in text)[:1024]
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    return b'299 - "' + escaped.encode("ascii", "replace") + b'"'
