"""Makes sandboxes and containers of one Pod."""

import asyncio
import pathlib
from collections.abc import Callable

from boxfleet.agent import host_ports, parts, pulls, tokens, wanted
from boxfleet.api import labels
from boxfleet.api import pod as pods
from boxfleet.client import errors
from boxfleet.planning import environment, pod_actions, pod_resources, pod_runtime, pod_volumes, pull_secrets
from boxfleet.ports import network, runtime

# Seconds before a start is tried again whose cause may have gone meanwhile; what we watch wakes us sooner.
RETRY = 10.0
# What an image that cannot be had is called in events, where that is not in its reason.
_EVENTS = {"InvalidImageName": "InspectFailed"}


class CannotStart(Exception):
    """A sandbox or container cannot be started now; carries what to show and when to try again."""

    def __init__(self, hold: pod_actions.Hold, *, event: str = "") -> None:
        super().__init__(hold.message)
        self.hold = hold
        self.event = event


class Starter:
    """Starts what a Pod's worker asks for."""

    def __init__(self, given: parts.Parts, held: tokens.PodTokens) -> None:
        self._parts = given
        self._tokens = held

    def facts(self, record: wanted.Record, *, ip: str) -> environment.Facts:
        """What environments and files may refer to."""
        return environment.Facts(
            pod=record.pod,
            pod_ip=ip,
            host_ip=self._parts.machine.address,
            config_maps=record.config_maps,
            secrets=record.secrets,
            allocatable=self._parts.machine.allocatable,
            common=environment.way_to_api(self._parts.settings.api_host, self._parts.settings.api_port),
        )

    def config(self, pod: pods.Pod, *, attempt: int) -> runtime.SandboxConfig:
        """The Pod's sandbox in the runtime's words."""
        given = self._parts
        return pod_runtime.sandbox(
            pod,
            attempt=attempt,
            dns=pod_runtime.resolver(
                pod, cluster=given.network.resolver, domain=given.settings.domain, host=given.host_resolver
            ),
            log_directory=f"{given.settings.logs}/{pod_runtime.log_folder(pod)}",
            cgroup_parent=given.settings.cgroup_parent,
        )

    async def sandbox(self, record: wanted.Record, *, attempt: int) -> runtime.SandboxStatus:
        """Make the sandbox with its volumes and address; raises CannotStart."""
        given, pod = self._parts, record.pod
        # Read once: the record changes while this waits, and files, sandbox and check must be of one address.
        wish = pod.metadata.annotations.get(labels.ADDRESS, "")
        if not wish and not pod.spec.hostNetwork:
            hold = pod_actions.Hold(
                until=float("inf"), reason="ContainerCreating", message="waits for an address from an AddressPool"
            )
            raise CannotStart(hold)
        if given.starts.locked() and self._tokens.missing:
            # It would wait for others anyway: with its tokens there the volumes are made only once.
            await self._tokens.ready()
        await self.volumes(record, ip=wish)
        config = self.config(pod, attempt=attempt)
        taken = host_ports.taken(config.ports)
        if taken:
            hold = pod_actions.Hold(until=self._later(RETRY), reason="ContainerCreating", message=taken)
            raise CannotStart(hold, event="FailedCreatePodSandBox")
        if not pod.spec.hostNetwork:
            await self._assign(record, wish)
        try:
            async with given.starts:
                sandbox_id = await given.engine.run_sandbox(config)
            found = await given.observer.see_sandbox(sandbox_id)
        except runtime.Unavailable:
            raise
        except runtime.RuntimeFault as error:
            hold = pod_actions.Hold(until=self._later(2.0), reason="ContainerCreating", message=str(error))
            raise CannotStart(hold, event="FailedCreatePodSandBox") from None
        if found is None:
            raise CannotStart(pod_actions.Hold(until=self._later(1.0), reason="ContainerCreating"))
        if not pod.spec.hostNetwork and found.ip != wish:
            await given.engine.stop_sandbox(sandbox_id)
            await given.engine.remove_sandbox(sandbox_id)
            given.observer.drop_sandbox(sandbox_id)
            message = f"the sandbox got the address {found.ip or 'none'}, not {wish} which the ledger gave the pod"
            hold = pod_actions.Hold(until=self._later(RETRY), reason="ContainerCreating", message=message)
            raise CannotStart(hold, event="FailedCreatePodSandBox")
        return found

    async def volumes(self, record: wanted.Record, *, ip: str) -> None:
        """Make or renew the Pod's volumes; raises CannotStart."""
        try:
            await asyncio.to_thread(self._volumes, record, ip)
        except pod_volumes.Missing as error:
            hold = pod_actions.Hold(until=self._later(RETRY), reason="ContainerCreating", message=str(error))
            raise CannotStart(hold, event="FailedMount") from None

    def _volumes(self, record: wanted.Record, ip: str) -> None:
        held = dict(self._tokens.known)
        self._tokens.fresh = False
        try:
            self._parts.volumes.prepare(record, self.facts(record, ip=ip), held)
        except pod_volumes.Missing:
            self._tokens.fresh = True
            raise
        self._parts.volumes.write_hosts(record.pod, ip=ip)

    async def tokens(self, record: wanted.Record, *, ip: str) -> None:
        """Have the tokens in the Pod's volumes that were asked for; raises CannotStart when there are none."""
        held = self._tokens
        if held.missing:
            await held.ready()
        if held.fresh:
            await self.volumes(record, ip=ip)
        if not held.missing or (isinstance(held.fault, errors.Unavailable) and self._has_run(record.pod)):
            # What ran before runs again without its server, as everything here: a token would open nothing now.
            return
        message = f"cannot get a token: {held.fault.message}" if held.fault is not None else "waits for a token"
        hold = pod_actions.Hold(until=max(held.due, self._later(0.2)), reason="ContainerCreating", message=message)
        raise CannotStart(hold, event="FailedMount" if held.fault is not None else "")

    def _has_run(self, pod: pods.Pod) -> bool:
        """Whether a container of the Pod has ever written a log here."""
        folder = pathlib.Path(self._parts.settings.logs) / pod_runtime.log_folder(pod)
        return next(folder.glob("*/*.log"), None) is not None

    async def container(
        self,
        record: wanted.Record,
        sandbox: runtime.SandboxStatus,
        order: pod_actions.StartContainer,
        *,
        again: Callable[[], None],
    ) -> str:
        """Make and start a container; `again` is called when a start that was put off is worth trying. Its id."""
        given, pod = self._parts, record.pod
        spec = container_of(pod, order.name)
        await self.tokens(record, ip=sandbox.ip)
        start = f"{pod.metadata.uid}/{order.name}/{order.attempt}"
        keys = pull_secrets.look_up(spec.image, pull_secrets.names(pod.spec, record.account), record.secrets)
        found = await given.pulls.ensure(spec, start=start, keys=keys, done=again)
        if isinstance(found, pod_actions.Hold):
            if found.reason == "ContainerCreating":
                raise CannotStart(found, event="Pulling")
            event = "Failed" if found.reason.startswith("Err") else _EVENTS.get(found.reason, "BackOff")
            raise CannotStart(found, event=event)
        given.recorder.normal(pod, "Pulled", found.message)
        target_id = self._target(pod, spec, sandbox)
        try:
            arguments = (record, spec, sandbox, order, found, target_id)
            if any(mount.subPath for mount in spec.volumeMounts):
                # In whatever file system it lies.
                config = await asyncio.to_thread(self._config, *arguments)
            else:
                config = self._config(*arguments)
        except (pod_volumes.Missing, OSError, ValueError) as error:
            hold = pod_actions.Hold(until=self._later(RETRY), reason="CreateContainerConfigError", message=str(error))
            raise CannotStart(hold, event="Failed") from None
        sandbox_config = self.config(pod, attempt=sandbox.attempt)
        try:
            container_id = await given.engine.create_container(sandbox.id, config, sandbox_config)
        except runtime.Unavailable:
            raise
        except runtime.RuntimeFault as error:
            # A dying sandbox refuses containers: see whether that is it.
            await given.observer.see_sandbox(sandbox.id)
            hold = pod_actions.Hold(until=self._later(RETRY), reason="CreateContainerError", message=str(error))
            raise CannotStart(hold, event="Failed") from None
        given.recorder.normal(pod, "Created", f"Created container {order.name}")
        try:
            await given.engine.start_container(container_id)
        except runtime.Unavailable:
            raise
        except runtime.RuntimeFault as error:
            status = await given.observer.see_container(container_id)
            if status is not None and status.state is runtime.State.EXITED:
                # The runtime keeps it as ended (StartError): the ordinary back-off takes over.
                given.recorder.warning(pod, "Failed", f"Error: {error}")
                return container_id
            hold = pod_actions.Hold(until=self._later(RETRY), reason="RunContainerError", message=str(error))
            raise CannotStart(hold, event="Failed") from None
        await given.observer.see_container(container_id)
        given.recorder.normal(pod, "Started", f"Started container {order.name}")
        return container_id

    def _config(
        self,
        record: wanted.Record,
        spec: pods.Container,
        sandbox: runtime.SandboxStatus,
        order: pod_actions.StartContainer,
        found: pulls.Found,
        target_id: str,
    ) -> runtime.ContainerConfig:
        given, pod = self._parts, record.pod
        refused = pod_runtime.root_refused(pod, spec, image_user=found.image.user)
        if refused:
            raise pod_volumes.Missing(refused)
        ip = given.machine.address if pod.spec.hostNetwork else sandbox.ip
        machine = given.machine
        given.volumes.write_hosts(pod, ip=ip)
        return pod_runtime.container(
            pod,
            spec,
            attempt=order.attempt,
            failures=order.failures,
            image=spec.image,
            env=environment.build(spec, self.facts(record, ip=ip)),
            mounts=given.volumes.mounts(record, spec, attempt=order.attempt),
            limits=pod_resources.limits(
                spec,
                quality=pod_resources.quality(pod.spec),
                memory_capacity=machine.memory,
                cpu_ceiling=machine.cpu_for_pods,
                oom_floor=machine.oom_floor,
            ),
            target_id=target_id,
        )

    def _target(self, pod: pods.Pod, spec: pods.Container, sandbox: runtime.SandboxStatus) -> str:
        """The container whose processes an ephemeral one shares; the plan made sure that it ran a moment ago."""
        name = spec.targetContainerName if isinstance(spec, pods.EphemeralContainer) else ""
        if not name:
            return ""
        there = self._parts.observer.containers_of(pod.metadata.uid)
        facts = pod_actions.Facts(pod=pod, now=0.0, containers=there)
        target = pod_actions.running(facts, name, sandbox)
        if target is None:
            message = f'unable to find target container "{name}": it does not run now'
            hold = pod_actions.Hold(until=self._later(1.0), reason="CreateContainerConfigError", message=message)
            raise CannotStart(hold, event="Failed")
        return target.id

    async def _assign(self, record: wanted.Record, ip: str) -> None:
        """Let the sandbox get the Pod's own address."""
        given, pod = self._parts, record.pod
        if not given.network.ready.is_set():
            hold = pod_actions.Hold(
                until=self._later(0.2), reason="ContainerCreating", message=given.network.fault or "network not ready"
            )
            raise CannotStart(hold)
        pool = given.network.pool_of(ip)
        if not pool:
            message = f"address {ip} belongs to no AddressPool that this host knows"
            hold = pod_actions.Hold(until=self._later(1.0), reason="ContainerCreating", message=message)
            raise CannotStart(hold, event="FailedCreatePodSandBox")
        await self._confirm(record, ip)
        # A Pod deleted by force is gone from the ledger while it still runs.
        holder = given.observer.holder_of(ip, besides=pod.metadata.uid)
        if holder:
            message = f"address {ip} is still in use on this host by {holder}, which has to end first"
            raise CannotStart(pod_actions.Hold(until=self._later(0.5), reason="ContainerCreating", message=message))
        try:
            await given.host_network.assign(
                namespace=pod.metadata.namespace, name=pod.metadata.name, address=ip, pool=pool
            )
        except network.NetworkFault as error:
            hold = pod_actions.Hold(until=self._later(RETRY), reason="ContainerCreating", message=str(error))
            raise CannotStart(hold, event="FailedCreatePodSandBox") from None

    async def _confirm(self, record: wanted.Record, ip: str) -> None:
        """Raise CannotStart unless the ledger gives the Pod the address that it says it has."""
        given, info = self._parts, record.pod.metadata
        try:
            known = await given.network.is_given(ip, namespace=info.namespace, instance=info.name)
        except errors.ApiError as error:
            if record.address == ip:
                # What was so goes on while the server is away.
                return
            message = f"cannot ask whether address {ip} is this pod's: {error.message}"
            raise CannotStart(
                pod_actions.Hold(until=self._later(1.0), reason="ContainerCreating", message=message)
            ) from None
        if not known:
            message = (
                f"address {ip} is not this pod's: no Address object gives it to {info.namespace}/{info.name}; "
                f"create the pod without the annotation {labels.ADDRESS}, and it gets an address of its own"
            )
            hold = pod_actions.Hold(until=self._later(2.0), reason="ContainerCreating", message=message)
            raise CannotStart(hold, event="AddressRefused")
        if record.address != ip:
            record.address = ip
            await asyncio.to_thread(given.wanted.save, record)

    def _later(self, seconds: float) -> float:
        return self._parts.clock.now().timestamp() + seconds


def container_of(pod: pods.Pod, name: str) -> pods.Container:
    """The container of that name, of whatever sort."""
    return next(one for one in pod.spec.every_container if one.name == name)
