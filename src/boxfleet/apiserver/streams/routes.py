"""The routes of streams, for users and for agents."""

from typing import Final

from boxfleet.api import tunnel
from boxfleet.apiserver import faults, route
from boxfleet.apiserver.audit import sessions as sessions_
from boxfleet.apiserver.streams import agents, forward, logs, remote, target, websocket
from boxfleet.kit import clock

_POD: Final = "/api/v1/namespaces/{namespace}/pods/{name}"
_NODE_USER: Final = "system:node:"


def routes(
    *, connected: agents.Agents, find_pod: target.FindPod, time: clock.Clock, sessions: sessions_.Sessions | None = None
) -> list[route.Route]:
    """All of them. `find_pod` reads a Pod by namespace and name and raises Fault 404.

    What calls name a recording for is recorded in `sessions`.
    """
    remotely = remote.Remote(connected, find_pod, sessions)
    forwarding = forward.Forward(connected, find_pod)
    logging = logs.Logs(connected, find_pod, time)
    dialled = _Dialled(connected)
    made = [
        route.Route(
            method="GET",
            path=f"{_POD}/log",
            access=route.Access(verb="get", resource="pods", subresource="log"),
            handle=logging.log,
        )
    ]
    for name, streamed, plain in (
        ("exec", remotely.exec, remotely.exec_plain),
        ("attach", remotely.attach, remotely.attach_plain),
        ("portforward", forwarding.forward, forwarding.forward_plain),
    ):
        # Joining an instance changes it: it takes the right to create, whatever the method.
        access = route.Access(verb="create", resource="pods", subresource=name)
        made.append(route.Route(method=route.WEBSOCKET, path=f"{_POD}/{name}", access=access, handle=streamed))
        made += [
            route.Route(method=method, path=f"{_POD}/{name}", access=access, handle=plain) for method in ("GET", "POST")
        ]
    access = route.Access(verb="connect", resource="nodes", subresource="tunnel")
    made += [
        route.Route(method=route.WEBSOCKET, path=path, access=access, handle=handle)
        for path, handle in (
            (tunnel.connect_path("{name}"), dialled.control),
            (tunnel.stream_path("{name}", "{stream}"), dialled.stream),
        )
    ]
    return made


class _Dialled:
    """Handlers of what agents dial."""

    def __init__(self, connected: agents.Agents) -> None:
        self._agents = connected

    async def control(self, call: route.Call) -> None:
        """An agent's control connection."""
        await self._agents.serve_control(_own_node(call), websocket.WebSocket(call.scope, call.receive, call.send))

    async def stream(self, call: route.Call) -> None:
        """A data connection."""
        socket = websocket.WebSocket(call.scope, call.receive, call.send)
        await self._agents.serve_stream(_own_node(call), call.params["stream"], socket)


def _own_node(call: route.Call) -> str:
    node = call.params["name"]
    if call.user.name != _NODE_USER + node:
        raise faults.Fault(
            403, "Forbidden", f'node "{node}" is served by its own agent only, not by user "{call.user.name}"'
        )
    return node
