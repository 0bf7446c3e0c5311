"""A server with nothing but the stream routes, and an agent whose containers are processes of this machine."""

import asyncio
import contextlib
import os
import pathlib
import signal
import socket
import urllib.parse
from collections.abc import AsyncIterator, Sequence

import aiohttp
import msgspec
import uvicorn

from boxfleet.agent.streams import tunnel as agent_tunnel
from boxfleet.api import meta, pod
from boxfleet.apiserver import authn, faults, route
from boxfleet.apiserver.audit import sessions as sessions_
from boxfleet.apiserver.streams import agents, routes
from boxfleet.kit import clock
from boxfleet.ports import runtime

NODE = "n1"
RECORDING = "recording"
ADMIN, AGENT = "admin-token", "agent-token"
USERS = {
    ADMIN: authn.User(name="admin", groups=("system:masters",)),
    AGENT: authn.User(name="system:node:n1", groups=("system:nodes",)),
}
POD_URL = "/api/v1/namespaces/default/pods/p"


def a_pod(*, containers: Sequence[str] = ("main",), node: str = NODE) -> pod.Pod:
    return pod.Pod(
        metadata=meta.ObjectMeta(name="p", namespace="default", uid="u1"),
        spec=pod.PodSpec(containers=[pod.Container(name=name) for name in containers], nodeName=node),
        status=pod.PodStatus(phase="Running"),
    )


class ProcessSession:
    """A session with a process of this machine."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.sizes: list[tuple[int, int]] = []
        self.closed = False

    async def send_stdin(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        await self._process.stdin.drain()

    async def close_stdin(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    async def resize(self, *, width: int, height: int) -> None:
        self.sizes.append((width, height))

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        assert self._process.stdout is not None
        while data := await self._process.stdout.read(32768):
            yield 1, data
        assert self._process.stderr is not None
        while data := await self._process.stderr.read(32768):
            yield 2, data

    async def exit_code(self) -> int:
        return await self._process.wait()

    async def close(self) -> None:
        self.closed = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        # Closes the pipes at once, whatever is still in them.
        self._process._transport.close()  # type: ignore[attr-defined]
        await self._process.wait()


class Engine:
    """As much of a runtime as streams ask for."""

    def __init__(self) -> None:
        self.sessions: list[ProcessSession] = []
        self.containers = [
            runtime.Container(
                id="c1",
                sandbox_id="s1",
                name="main",
                attempt=0,
                image="",
                image_ref="",
                state=runtime.State.RUNNING,
                created_at=1,
            )
        ]

    async def list_sandboxes(self) -> list[runtime.Sandbox]:
        return [runtime.Sandbox(id="s1", name="p", namespace="default", uid="u1", attempt=0, ready=True, created_at=1)]

    async def list_containers(self) -> list[runtime.Container]:
        return list(self.containers)

    async def sandbox_status(self, sandbox_id: str) -> runtime.SandboxStatus:
        return runtime.SandboxStatus(
            id=sandbox_id, name="p", namespace="default", uid="u1", attempt=0, ready=True, created_at=1, ip="127.0.0.1"
        )

    async def container_status(self, container_id: str) -> runtime.ContainerStatus:
        found = next(one for one in self.containers if one.id == container_id)
        return runtime.ContainerStatus(**msgspec.structs.asdict(found))

    async def exec(
        self, container_id: str, command: list[str], *, stdin: bool, tty: bool, stderr: bool = True
    ) -> runtime.Session:
        if command == ["broken"]:
            raise runtime.RuntimeFault("no such program")
        process = await asyncio.create_subprocess_exec(*command, stdin=-1, stdout=-1, stderr=-1, start_new_session=True)
        self.sessions.append(ProcessSession(process))
        return self.sessions[-1]

    async def attach(self, container_id: str, *, stdin: bool, tty: bool) -> runtime.Session:
        return await self.exec(container_id, ["cat"], stdin=stdin, tty=tty)


class Bed:
    """The server, the agent, and clients of both."""

    def __init__(self, logs: pathlib.Path, sessions: sessions_.Sessions | None = None) -> None:
        # With sessions, everything is recorded as RECORDING.
        self.recording = RECORDING if sessions is not None else ""
        self.pod: pod.Pod | None = a_pod()
        self.engine = Engine()
        self.agents = agents.Agents()
        self.logs = logs
        self.url = ""
        self.port = 0
        self.session: aiohttp.ClientSession
        made = routes.routes(
            connected=self.agents, find_pod=self._find_pod, time=clock.SystemClock(), sessions=sessions
        )
        self._router = route.Router(made)

    async def _find_pod(self, namespace: str, name: str) -> pod.Pod:
        if self.pod is None:
            raise faults.not_found(pod.Pod.KIND, name)
        return self.pod

    async def app(self, scope: route.Scope, receive: route.Receive, send: route.Send) -> None:
        method = route.WEBSOCKET if scope["type"] == "websocket" else scope["method"]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        try:
            found, params = self._router.find(method, scope["path"])
            user = USERS.get(headers.get("authorization", "").removeprefix("Bearer "))
            if user is None:
                raise faults.unauthorized()
            answer = await found.handle(
                route.Call(
                    method=method,
                    path=scope["path"],
                    params=params,
                    query=urllib.parse.parse_qs(scope["query_string"].decode(), keep_blank_values=True),
                    headers=headers,
                    user=user,
                    scope=scope,
                    receive=receive,
                    send=send,
                    recording=self.recording,
                )
            )
        except faults.Fault as fault:
            answer = route.Answer(status=fault.code, body=msgspec.json.encode(fault.status()))
        if answer is not None:
            kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
            await send({"type": f"{kind}.start", "status": answer.status, "headers": []})
            await send({"type": f"{kind}.body", "body": answer.body})

    @contextlib.asynccontextmanager
    async def serving(self, *, port: int = 0) -> AsyncIterator[None]:
        """The server, from now to the end of the context."""
        listener = socket.create_server(("127.0.0.1", port))
        self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(
            self.app,
            interface="asgi3",
            ws="wsproto",
            lifespan="off",
            log_config=None,
            ws_ping_interval=None,
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
        task = asyncio.create_task(server.serve([listener]))
        while not server.started:
            await asyncio.sleep(0.001)
        try:
            yield
        finally:
            server.should_exit = True
            await task
            listener.close()

    @contextlib.asynccontextmanager
    async def agent(self) -> AsyncIterator[None]:
        """The agent, from now to the end of the context."""
        tunnel = agent_tunnel.Tunnel(
            server=self.url,
            node=NODE,
            token=AGENT,
            tls=None,
            engine=self.engine,  # type: ignore[arg-type]
            log_directory=self.logs,
        )
        task = asyncio.create_task(tunnel.run())
        try:
            await self.connected()
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def connected(self) -> None:
        """Wait for the agent."""
        async with asyncio.timeout(30):
            while not self.agents.answers(NODE):
                await asyncio.sleep(0.005)

    def websocket(self, path: str, *, protocol: str = "v5.channel.k8s.io") -> "aiohttp.client._WSRequestContextManager":
        """A user's WebSocket."""
        headers = {"Authorization": f"Bearer {ADMIN}"}
        return self.session.ws_connect(self.url + path, protocols=[protocol], headers=headers, max_msg_size=0)

    def get(self, path: str) -> "aiohttp.client._RequestContextManager":
        """A user's GET."""
        return self.session.get(self.url + path, headers={"Authorization": f"Bearer {ADMIN}"})


@contextlib.asynccontextmanager
async def bed(
    logs: pathlib.Path, *, agent: bool = True, sessions: sessions_.Sessions | None = None
) -> AsyncIterator[Bed]:
    """Everything, ready."""
    made = Bed(logs, sessions)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(made.serving())
        made.session = await stack.enter_async_context(aiohttp.ClientSession())
        if agent:
            await stack.enter_async_context(made.agent())
        yield made
