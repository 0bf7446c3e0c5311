"""Plain HTTP to an API server: what is sent and what comes back, with nothing in between."""

import contextlib
import dataclasses
import http.client
import json
import pathlib
import ssl
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from typing import Any

# Seconds until a server that should have answered is taken to hang.
PATIENCE = 30


@dataclasses.dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def ok(self, status: int = 200) -> Any:
        """The document of an answer that went well."""
        assert self.status == status, f"{self.status}: {self.body[:2000]!r}"
        assert self.headers["content-type"].startswith("application/json"), self.headers["content-type"]
        return self.json

    def fails(self, status: int, reason: str, message: str | None = None) -> Any:
        """The details of a Status that says what went wrong."""
        assert self.status == status, f"{self.status}: {self.body[:2000]!r}"
        assert self.headers["content-type"] == "application/json"
        document = self.json
        assert (document["kind"], document["apiVersion"], document["status"]) == ("Status", "v1", "Failure")
        assert document["code"] == status
        assert document.get("reason", "") == reason
        if message is not None:
            assert document["message"] == message
        return document.get("details")

    @property
    def message(self) -> str:
        found: str = self.json["message"]
        return found

    def causes(self) -> list[tuple[str, str]]:
        """Reason and field of each cause."""
        return [(cause.get("reason", ""), cause.get("field", "")) for cause in self.json["details"].get("causes", [])]


class Watch:
    """An open watch: its events one by one."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self._answer = answer

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """All events until the server ends the stream."""
        while (event := self.next()) is not None:
            yield event

    def next(self) -> dict[str, Any] | None:
        """The next event; None when the server has ended the stream."""
        line = self._answer.readline()
        found: dict[str, Any] | None = json.loads(line) if line.strip() else None
        return found

    def names(self, count: int) -> list[tuple[str, str]]:
        """Type and name of the next so many events."""
        found = []
        for _ in range(count):
            event = self.next()
            assert event is not None, found
            found.append((event["type"], event["object"]["metadata"]["name"]))
        return found


class Api:
    """One server, as its administrator."""

    def __init__(
        self, *, name: str, url: str, ca_file: pathlib.Path, token: str, forget: Callable[["Api"], None]
    ) -> None:
        self.name = name
        where = urllib.parse.urlsplit(url)
        self._host, self._port = where.hostname or "", where.port or 0
        self._context = ssl.create_default_context(cafile=ca_file)
        self._token = token
        self._forget = forget
        self._connection: http.client.HTTPSConnection | None = None

    @property
    def real(self) -> bool:
        """Whether this is kube-apiserver."""
        return self.name == "kubernetes"

    def forget_history(self) -> None:
        """Make every resourceVersion up to now too old."""
        self._forget(self)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        **query: object,
    ) -> Reply:
        """Send one request; `body` is data for JSON, or bytes as they are."""
        if self._connection is None:
            self._connection = self._connect()
        try:
            answer = self._send(self._connection, method, path, body, headers, query)
            return Reply(answer.status, answer.headers, answer.read())
        except (http.client.HTTPException, OSError):
            # A kept connection may have been closed meanwhile; the next request makes a new one.
            self._connection.close()
            self._connection = None
            raise

    def get(self, path: str, *, headers: Mapping[str, str] | None = None, **query: object) -> Reply:
        return self.request("GET", path, headers=headers, **query)

    def post(self, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None, **query: object) -> Reply:
        return self.request("POST", path, body, headers=headers, **query)

    def put(self, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None, **query: object) -> Reply:
        return self.request("PUT", path, body, headers=headers, **query)

    def patch(self, path: str, body: Any, *, kind: str = "merge", **query: object) -> Reply:
        """Patch by `json`, `merge` or `strategic-merge`."""
        return self.request("PATCH", path, body, headers={"content-type": f"application/{kind}-patch+json"}, **query)

    def delete(
        self, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None, **query: object
    ) -> Reply:
        return self.request("DELETE", path, body, headers=headers, **query)

    @contextlib.contextmanager
    def watch(self, path: str, *, headers: Mapping[str, str] | None = None, **query: object) -> Iterator[Watch]:
        """A watch on a connection of its own."""
        connection = self._connect()
        try:
            yield Watch(self._send(connection, "GET", path, None, headers, {"watch": "1", **query}))
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self._host, self._port, context=self._context, timeout=PATIENCE)

    def _send(
        self,
        connection: http.client.HTTPSConnection,
        method: str,
        path: str,
        body: Any,
        headers: Mapping[str, str] | None,
        query: Mapping[str, object],
    ) -> http.client.HTTPResponse:
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {"authorization": f"Bearer {self._token}", "accept": "application/json"}
        if content is not None:
            sent["content-type"] = "application/json"
        sent |= {name.lower(): value for name, value in (headers or {}).items()}
        if query:
            path += ("&" if "?" in path else "?") + urllib.parse.urlencode(query, doseq=True)
        connection.request(method, path, content, {name: value for name, value in sent.items() if value})
        return connection.getresponse()
