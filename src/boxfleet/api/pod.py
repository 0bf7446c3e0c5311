"""Pod: one instance. The part of the standard v1 Pod that Boxfleet acts on.

The API serves and stores the whole standard schema (`Kind.model`); these types are what our own code reads.
A test holds every field here against the standard one.
"""

from typing import ClassVar

import msgspec

from boxfleet.api import kind, meta, phases, pod_affinity, pod_columns, pod_defaults, pod_rules, pod_sources


class ContainerPort(meta.Model):
    """A port that the container serves."""

    containerPort: int
    name: str = ""
    protocol: str = "TCP"
    hostPort: int = 0
    hostIP: str = ""


class ExecAction(meta.Model):
    """A command in the container; exit code 0 is success."""

    command: list[str] = []


class HTTPHeader(meta.Model):
    """One header of a probe."""

    name: str
    value: str


class HTTPGetAction(meta.Model):
    """A GET; 200 to 399 is success."""

    port: pod_sources.IntOrString
    path: str = "/"
    host: str = ""
    scheme: str = "HTTP"
    httpHeaders: list[HTTPHeader] = []


class TCPSocketAction(meta.Model):
    """A connection that opens is success."""

    port: pod_sources.IntOrString
    host: str = ""


class SleepAction(meta.Model):
    """A pause, in lifecycle hooks."""

    seconds: int


class LifecycleHandler(meta.Model):
    """What a hook does; one of these is set."""

    exec: ExecAction | None = None
    httpGet: HTTPGetAction | None = None
    tcpSocket: TCPSocketAction | None = None
    sleep: SleepAction | None = None


class Lifecycle(meta.Model):
    """Hooks after the start and before the stop of a container."""

    postStart: LifecycleHandler | None = None
    preStop: LifecycleHandler | None = None


class Probe(meta.Model):
    """A check of a container, again and again. Times in seconds."""

    exec: ExecAction | None = None
    httpGet: HTTPGetAction | None = None
    tcpSocket: TCPSocketAction | None = None
    initialDelaySeconds: int = 0
    periodSeconds: int = 10
    timeoutSeconds: int = 1
    successThreshold: int = 1
    failureThreshold: int = 3
    terminationGracePeriodSeconds: int | None = None


class ResourceRequirements(meta.Model):
    """Quantities by resource: what is set aside, and what may not be exceeded."""

    requests: dict[str, pod_sources.IntOrString] = {}
    limits: dict[str, pod_sources.IntOrString] = {}


class Capabilities(meta.Model):
    """Linux capabilities to add and drop."""

    add: list[str] = []
    drop: list[str] = []


class SecurityContext(meta.Model):
    """Privileges of one container."""

    privileged: bool | None = None
    runAsUser: int | None = None
    runAsGroup: int | None = None
    runAsNonRoot: bool | None = None
    readOnlyRootFilesystem: bool | None = None
    allowPrivilegeEscalation: bool | None = None
    capabilities: Capabilities | None = None


class VolumeMount(meta.Model):
    """Where a volume appears in a container."""

    name: str
    mountPath: str
    subPath: str = ""
    readOnly: bool = False


class Container(meta.Model):
    """One container of an instance."""

    name: str
    image: str = ""
    imagePullPolicy: str = ""
    command: list[str] = []
    args: list[str] = []
    workingDir: str = ""
    env: list[pod_sources.EnvVar] = []
    envFrom: list[pod_sources.EnvFromSource] = []
    ports: list[ContainerPort] = []
    resources: ResourceRequirements = msgspec.field(default_factory=ResourceRequirements)
    volumeMounts: list[VolumeMount] = []
    startupProbe: Probe | None = None
    readinessProbe: Probe | None = None
    livenessProbe: Probe | None = None
    lifecycle: Lifecycle | None = None
    securityContext: SecurityContext | None = None
    restartPolicy: str = ""
    stdin: bool = False
    stdinOnce: bool = False
    tty: bool = False
    terminationMessagePath: str = "/dev/termination-log"

    @property
    def is_sidecar(self) -> bool:
        """Whether an init container goes on beside the others."""
        return self.restartPolicy == "Always"


class EphemeralContainer(Container):
    """A container that joins a running instance for a look around; it is never started again."""

    # Whose processes it sees; empty: its own, or the Pod's when they are shared.
    targetContainerName: str = ""


class PodSecurityContext(meta.Model):
    """Privileges of all containers of a Pod."""

    runAsUser: int | None = None
    runAsGroup: int | None = None
    runAsNonRoot: bool | None = None
    fsGroup: int | None = None
    supplementalGroups: list[int] = []
    sysctls: list["Sysctl"] = []


class Sysctl(meta.Model):
    """A kernel parameter of the sandbox."""

    name: str
    value: str


class HostAlias(meta.Model):
    """Lines for /etc/hosts."""

    ip: str
    hostnames: list[str] = []


class DNSOption(meta.Model):
    """An option of resolv.conf."""

    name: str = ""
    value: str | None = None


class DNSConfig(meta.Model):
    """Additions to resolv.conf."""

    nameservers: list[str] = []
    searches: list[str] = []
    options: list[DNSOption] = []


class ReadinessGate(meta.Model):
    """A condition that must also be True for the Pod to be Ready."""

    conditionType: str


class LocalObjectReference(meta.Model):
    """Something in the same namespace."""

    name: str = ""


class PodSchedulingGate(meta.Model):
    """Something that must be over before a node is looked for."""

    name: str


class PodSpec(meta.Model):
    """The wanted instance."""

    containers: list[Container] = []
    initContainers: list[Container] = []
    ephemeralContainers: list[EphemeralContainer] = []
    volumes: list[pod_sources.Volume] = []
    restartPolicy: str = "Always"
    terminationGracePeriodSeconds: int = 30
    activeDeadlineSeconds: int | None = None
    nodeName: str = ""
    nodeSelector: dict[str, str] = {}
    affinity: pod_affinity.Affinity | None = None
    tolerations: list[pod_affinity.Toleration] = []
    # Who binds it; empty: Boxfleet's scheduler.
    schedulerName: str = ""
    schedulingGates: list[PodSchedulingGate] = []
    topologySpreadConstraints: list[pod_affinity.TopologySpreadConstraint] = []
    priorityClassName: str = ""
    # The value of its class, and whether others make room for it: by admission.
    priority: int | None = None
    preemptionPolicy: str = ""
    hostname: str = ""
    hostNetwork: bool = False
    hostPID: bool = False
    hostIPC: bool = False
    shareProcessNamespace: bool = False
    hostAliases: list[HostAlias] = []
    dnsPolicy: str = "ClusterFirst"
    dnsConfig: DNSConfig | None = None
    securityContext: PodSecurityContext | None = None
    serviceAccountName: str = ""
    automountServiceAccountToken: bool | None = None
    imagePullSecrets: list[LocalObjectReference] = []
    readinessGates: list[ReadinessGate] = []

    @property
    def every_container(self) -> list[Container]:
        """Init containers, then the lasting ones, then those that joined for a look."""
        return [*self.initContainers, *self.containers, *self.ephemeralContainers]

    def find_container(self, name: str) -> Container | None:
        """The container of that name, of whatever sort."""
        return next((each for each in self.every_container if each.name == name), None)


class ContainerStateWaiting(meta.Model):
    """Not running yet."""

    reason: str = ""
    message: str = ""


class ContainerStateRunning(meta.Model):
    """Running since."""

    startedAt: str = ""


class ContainerStateTerminated(meta.Model, omit_defaults=False):
    """Ended, and how."""

    exitCode: int
    signal: int = 0
    reason: str = ""
    message: str = ""
    startedAt: str | None = None
    finishedAt: str | None = None
    containerID: str = ""


class ContainerState(meta.Model):
    """One of three."""

    waiting: ContainerStateWaiting | None = None
    running: ContainerStateRunning | None = None
    terminated: ContainerStateTerminated | None = None


class ContainerStatus(meta.Model, omit_defaults=False):
    """What became of one container."""

    name: str
    state: ContainerState = msgspec.field(default_factory=ContainerState)
    lastState: ContainerState = msgspec.field(default_factory=ContainerState)
    ready: bool = False
    started: bool | None = None
    restartCount: int = 0
    image: str = ""
    imageID: str = ""
    containerID: str = ""


class PodIP(meta.Model):
    """One address of a Pod."""

    ip: str


class PodStatus(meta.Model):
    """What became of the instance."""

    phase: str = ""
    conditions: list[meta.Condition] = []
    reason: str = ""
    message: str = ""
    hostIP: str = ""
    podIP: str = ""
    podIPs: list[PodIP] = []
    startTime: str | None = None
    qosClass: str = ""
    initContainerStatuses: list[ContainerStatus] = []
    containerStatuses: list[ContainerStatus] = []
    ephemeralContainerStatuses: list[ContainerStatus] = []

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it runs or will run again."""
        return self.phase in phases.TERMINAL

    @property
    def every_container(self) -> list[ContainerStatus]:
        """Init containers, then the lasting ones: those that say how the instance is."""
        return [*self.initContainerStatuses, *self.containerStatuses]

    def find_container(self, name: str) -> ContainerStatus | None:
        """What is said of the container of that name, of whatever sort."""
        everything = (*self.every_container, *self.ephemeralContainerStatuses)
        return next((each for each in everything if each.name == name), None)


class Pod(meta.Object, kw_only=True):
    """One instance."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group="",
        version="v1",
        kind="Pod",
        plural="pods",
        singular="pod",
        short_names=("po",),
        categories=("all",),
        namespaced=True,
        model="core_v1.Pod",
        selectable=(
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
        ),
        columns=pod_columns.COLUMNS,
        default=pod_defaults.apply,
        validate=pod_rules.validate,
        grace=pod_defaults.grace,
        strategic=True,
    )

    spec: PodSpec = msgspec.field(default_factory=PodSpec)
    status: PodStatus = msgspec.field(default_factory=PodStatus)


class TemplateMeta(meta.Model):
    """Labels and annotations that instances get."""

    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class PodTemplateSpec(meta.Model):
    """What instances are made from."""

    metadata: TemplateMeta = msgspec.field(default_factory=TemplateMeta)
    spec: PodSpec = msgspec.field(default_factory=PodSpec)
