"""Requests made from our own OpenAPI documents, right ones and wrong ones: never a failure of the server's own.

Schemathesis makes them; what it makes is the same in every run.
"""

import asyncio
import contextlib
import pathlib
import urllib.parse
from collections.abc import Iterator
from typing import Any

import hypothesis
import msgspec
import pytest
import schemathesis
from schemathesis import generation

from boxfleet.testing import server

EXAMPLES = {generation.GenerationMode.POSITIVE: 1, generation.GenerationMode.NEGATIVE: 2}
# Answers that go on for as long as the client likes have tests of their own.
ENDLESS = {"watch", "follow"}
STREAMS = ("/exec", "/attach", "/portforward", "/proxy")
CONTENT = {"PATCH": "application/merge-patch+json"}


class Fuzzed:
    """A server in this thread, on a loop that runs while it is asked."""

    def __init__(self, runner: asyncio.Runner, api: server.Api) -> None:
        self._runner = runner
        self.api = api

    def send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> server.Reply:
        async def bounded() -> server.Reply:
            async with asyncio.timeout(20):
                return await server.send(self.api.app, method, path, body, headers=headers)

        return self._runner.run(bounded())


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()
        folder: pathlib.Path = tmp_path_factory.mktemp("fuzz")

        async def start() -> server.Api:
            return await stack.enter_async_context(server.running(folder))

        try:
            yield Fuzzed(runner, runner.run(start()))
        finally:
            runner.run(stack.aclose())


@pytest.mark.timeout(900)
def test_every_operation_stands_what_is_sent(fuzzed: Fuzzed, caplog: pytest.LogCaptureFixture) -> None:
    index = fuzzed.send("GET", "/openapi/v3", None, {}).json
    seen: set[int] = set()
    asked = 0
    for place in index["paths"]:
        document = fuzzed.send("GET", f"/openapi/v3/{place}", None, {}).json
        for found in schemathesis.openapi.from_dict(document).get_all_operations():
            operation = found.ok()
            if operation.path.endswith(STREAMS):
                continue
            for mode, examples in EXAMPLES.items():
                statuses = _ask(fuzzed, operation, mode, examples)
                seen.update(statuses)
                asked += len(statuses)
    assert asked > 600
    assert {200, 400, 404, 422} <= seen
    assert "Traceback" not in caplog.text
    # Whatever was accepted can be listed.
    for kind in fuzzed.api.app.registry.kinds:
        root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
        reply = fuzzed.send("GET", f"{root}/{kind.plural}", None, {})
        assert reply.status in (200, 404, 405), (kind.plural, reply.body)


def _ask(fuzzed: Fuzzed, operation: Any, mode: generation.GenerationMode, examples: int) -> list[int]:
    statuses: list[int] = []

    @hypothesis.settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    @hypothesis.given(operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        reply = fuzzed.send(case.method, _address(case), _body(case), _headers(case))
        statuses.append(reply.status)
        # 504 is how Kubernetes answers a revision from the future.
        assert reply.status < 500 or reply.status == 504, (case.method, _address(case), _body(case), reply.body)
        if reply.status >= 400:
            status = reply.json
            assert (status["kind"], status["code"]) == ("Status", reply.status)

    # Some operations take nothing that could be wrong.
    with contextlib.suppress(hypothesis.errors.Unsatisfiable):
        ask()
    return statuses


def _address(case: Any) -> str:
    query = {key: value for key, value in (case.query or {}).items() if key not in ENDLESS}
    pairs = [(key, "" if value is None else str(value)) for key, value in query.items()]
    return f"{urllib.parse.unquote(case.formatted_path)}?{urllib.parse.urlencode(pairs, errors='replace')}"


def _body(case: Any) -> bytes | None:
    if isinstance(case.body, schemathesis.core.NotSet):
        return None
    try:
        return msgspec.json.encode(case.body)
    except (UnicodeError, TypeError, OverflowError):
        return repr(case.body).encode(errors="replace")


def _headers(case: Any) -> dict[str, str]:
    return {"content-type": CONTENT.get(case.method, "application/json")}
