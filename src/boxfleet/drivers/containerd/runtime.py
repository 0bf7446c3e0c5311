"""Sandboxes and containers through containerd's CRI v1."""

import math
import pathlib
from collections.abc import AsyncIterator
from typing import TypeVar

from google.protobuf import message

from boxfleet.drivers.containerd import connection, events, streaming, translate
from boxfleet.drivers.containerd.wire import cri_pb2
from boxfleet.ports import runtime

_SERVICE = "/runtime.v1.RuntimeService/"
# Seconds. Questions are answered from memory; making and stopping waits for processes, disks and plug-ins, on a
# machine that may be busy with dozens of others.
_ASK = 20.0
_MAKE = 120.0

Answer = TypeVar("Answer", bound=message.Message)


class Runtime:
    """Implements `ports.runtime.Runtime`. `systemd_cgroups` as the daemon was configured, see `config.Settings`."""

    def __init__(self, connection: connection.Connection, *, systemd_cgroups: bool = False) -> None:
        self._connection = connection
        self._systemd = systemd_cgroups
        # The sandboxes of containers, which are for life, and which a container's status does not name.
        self._sandboxes: dict[str, str] = {}

    async def version(self) -> str:
        """Name and version of the engine."""
        answer = await self._call("Version", cri_pb2.VersionRequest(), cri_pb2.VersionResponse, "ask for the version")
        return f"{answer.runtime_name}://{answer.runtime_version}"

    async def network_ready(self) -> str:
        """Empty, or why sandboxes cannot get a network."""
        answer = await self._call("Status", cri_pb2.StatusRequest(), cri_pb2.StatusResponse, "ask for the status")
        for condition in answer.status.conditions:
            if condition.type == "NetworkReady" and not condition.status:
                return f"{condition.reason}: {condition.message}"
        return ""

    async def run_sandbox(self, config: runtime.SandboxConfig) -> str:
        """Make and start a sandbox; makes its log directory too."""
        if config.log_directory:
            pathlib.Path(config.log_directory).mkdir(parents=True, exist_ok=True)
        request = cri_pb2.RunPodSandboxRequest(config=translate.sandbox_config(config, systemd=self._systemd))
        doing = f"run sandbox {config.namespace}/{config.name}"
        answer = await self._call("RunPodSandbox", request, cri_pb2.RunPodSandboxResponse, doing, _MAKE)
        return answer.pod_sandbox_id

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """Stop all in it and free its network."""
        request = cri_pb2.StopPodSandboxRequest(pod_sandbox_id=sandbox_id)
        await self._forgiving("StopPodSandbox", request, cri_pb2.StopPodSandboxResponse, f"stop sandbox {sandbox_id}")

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Remove it with its containers; stops what still runs in it."""
        request = cri_pb2.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id)
        await self._forgiving(
            "RemovePodSandbox", request, cri_pb2.RemovePodSandboxResponse, f"remove sandbox {sandbox_id}"
        )

    async def list_sandboxes(self) -> list[runtime.Sandbox]:
        """All sandboxes."""
        request = cri_pb2.ListPodSandboxRequest()
        answer = await self._call("ListPodSandbox", request, cri_pb2.ListPodSandboxResponse, "list sandboxes")
        return [translate.sandbox(one) for one in answer.items]

    async def sandbox_status(self, sandbox_id: str) -> runtime.SandboxStatus:
        """One sandbox with its address."""
        request = cri_pb2.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id)
        doing = f"read sandbox {sandbox_id}"
        answer = await self._call("PodSandboxStatus", request, cri_pb2.PodSandboxStatusResponse, doing)
        return translate.sandbox_status(answer.status)

    async def create_container(
        self, sandbox_id: str, config: runtime.ContainerConfig, sandbox: runtime.SandboxConfig
    ) -> str:
        """Make a container in a sandbox."""
        request = cri_pb2.CreateContainerRequest(
            pod_sandbox_id=sandbox_id,
            config=translate.container_config(config),
            sandbox_config=translate.sandbox_config(sandbox, systemd=self._systemd),
        )
        doing = f"create container {config.name} of {sandbox.namespace}/{sandbox.name}"
        answer = await self._call("CreateContainer", request, cri_pb2.CreateContainerResponse, doing, _MAKE)
        self._sandboxes[answer.container_id] = sandbox_id
        return answer.container_id

    async def start_container(self, container_id: str) -> None:
        """Start a created container."""
        request = cri_pb2.StartContainerRequest(container_id=container_id)
        doing = f"start container {container_id}"
        await self._call("StartContainer", request, cri_pb2.StartContainerResponse, doing, _MAKE)

    async def stop_container(self, container_id: str, *, grace_seconds: int) -> None:
        """Stop signal, then SIGKILL after the grace; harmless when it has ended or is gone."""
        request = cri_pb2.StopContainerRequest(container_id=container_id, timeout=grace_seconds)
        doing = f"stop container {container_id}"
        await self._forgiving("StopContainer", request, cri_pb2.StopContainerResponse, doing, grace_seconds + _MAKE)

    async def remove_container(self, container_id: str) -> None:
        """Remove an ended container."""
        request = cri_pb2.RemoveContainerRequest(container_id=container_id)
        doing = f"remove container {container_id}"
        await self._forgiving("RemoveContainer", request, cri_pb2.RemoveContainerResponse, doing)

    async def list_containers(self) -> list[runtime.Container]:
        """All containers."""
        found = [translate.container(one) for one in await self._list()]
        # Those that are gone are forgotten, and one that was made meanwhile is asked for once more.
        self._sandboxes = {one.id: one.sandbox_id for one in found}
        return found

    async def container_status(self, container_id: str) -> runtime.ContainerStatus:
        """One container and what became of it."""
        request = cri_pb2.ContainerStatusRequest(container_id=container_id)
        doing = f"read container {container_id}"
        answer = await self._call("ContainerStatus", request, cri_pb2.ContainerStatusResponse, doing)
        sandbox_id = self._sandboxes.get(container_id)
        if sandbox_id is None:
            listed = await self._list(container_id)
            sandbox_id = listed[0].pod_sandbox_id if listed else ""
        return translate.container_status(answer.status, sandbox_id=sandbox_id)

    async def exec_sync(self, container_id: str, command: list[str], *, timeout: float) -> runtime.ExecResult:
        """Run a command to its end."""
        # containerd counts whole seconds, and kills the command when the caller has gone: so the caller's own
        # deadline decides, and containerd's is the safety net.
        request = cri_pb2.ExecSyncRequest(container_id=container_id, cmd=command, timeout=math.ceil(timeout) + 1)
        doing = f"run {command[0]!r} in container {container_id}"
        try:
            answer = await self._call("ExecSync", request, cri_pb2.ExecSyncResponse, doing, timeout)
        except connection.Overdue:
            raise TimeoutError(f"{command[0]!r} in container {container_id} took more than {timeout:g} s") from None
        return runtime.ExecResult(exit_code=answer.exit_code, stdout=answer.stdout, stderr=answer.stderr)

    async def exec(
        self, container_id: str, command: list[str], *, stdin: bool, tty: bool, stderr: bool = True
    ) -> runtime.Session:
        """Start a command with streams."""
        # A terminal has one output: CRI refuses stderr beside it.
        stderr = stderr and not tty
        request = cri_pb2.ExecRequest(
            container_id=container_id, cmd=command, tty=tty, stdin=stdin, stdout=True, stderr=stderr
        )
        answer = await self._call("Exec", request, cri_pb2.ExecResponse, f"run a command in container {container_id}")
        return await streaming.connect(answer.url, stdin=stdin, tty=tty, stderr=stderr)

    async def attach(self, container_id: str, *, stdin: bool, tty: bool) -> runtime.Session:
        """Join the streams of the main process."""
        request = cri_pb2.AttachRequest(container_id=container_id, tty=tty, stdin=stdin, stdout=True, stderr=not tty)
        answer = await self._call("Attach", request, cri_pb2.AttachResponse, f"attach to container {container_id}")
        return await streaming.connect(answer.url, stdin=stdin, tty=tty, stderr=not tty)

    async def reopen_log(self, container_id: str) -> None:
        """Go on in a new log file."""
        request = cri_pb2.ReopenContainerLogRequest(container_id=container_id)
        doing = f"reopen the log of container {container_id}"
        await self._call("ReopenContainerLog", request, cri_pb2.ReopenContainerLogResponse, doing)

    async def stats(self) -> list[runtime.Stats]:
        """Use of all running containers."""
        request = cri_pb2.ListContainerStatsRequest()
        answer = await self._call("ListContainerStats", request, cri_pb2.ListContainerStatsResponse, "read statistics")
        # One that has ended is listed without figures.
        return [translate.stats(one) for one in answer.stats if one.HasField("cpu")]

    def events(self) -> AsyncIterator[runtime.RuntimeEvent]:
        """Hints as they happen; see `events`."""
        return events.follow(self._connection, settled=self._settled)

    async def _settled(self, kind: runtime.EventKind, container_id: str) -> bool:
        """Whether CRI's own record already shows what containerd's event told."""
        found = await self._list(container_id)
        if found:
            if kind is runtime.EventKind.EXITED:
                return found[0].state == cri_pb2.CONTAINER_EXITED
            status = await self.container_status(container_id)
            return status.state is not runtime.State.EXITED or status.reason == "OOMKilled"
        try:
            return kind is not runtime.EventKind.EXITED or not (await self.sandbox_status(container_id)).ready
        except runtime.NotFound:
            return True

    async def _list(self, container_id: str = "") -> list[cri_pb2.Container]:
        chosen = cri_pb2.ContainerFilter(id=container_id) if container_id else None
        request = cri_pb2.ListContainersRequest(filter=chosen)
        answer = await self._call("ListContainers", request, cri_pb2.ListContainersResponse, "list containers")
        return list(answer.containers)

    async def _call(
        self, name: str, request: message.Message, answer: type[Answer], doing: str, timeout: float = _ASK
    ) -> Answer:
        return await self._connection.call(_SERVICE + name, request, answer, doing=doing, timeout=timeout)

    async def _forgiving(
        self, name: str, request: message.Message, answer: type[Answer], doing: str, timeout: float = _MAKE
    ) -> None:
        """A call that has done its duty when the thing is gone already."""
        try:
            await self._call(name, request, answer, doing, timeout)
        except runtime.NotFound:
            return
