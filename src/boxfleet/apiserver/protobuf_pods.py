"""Pods in Kubernetes' protobuf form: the fields that clients write, in the notation of `protobuf_records`.

Numbers are those of Kubernetes' published API definitions. Of the sources of volumes those are here that an instance
can have.
"""

TABLE = """
v1/Pod: 1 metadata ObjectMeta, 2 spec PodSpec, 3 status Unset
PodSpec: 1 volumes Volume*, 2 containers Container*, 3 restartPolicy, 4 terminationGracePeriodSeconds int,
    5 activeDeadlineSeconds int, 6 dnsPolicy, 7 nodeSelector {}, 8 serviceAccountName, 9 serviceAccount, 10 nodeName,
    11 hostNetwork flag, 12 hostPID flag, 13 hostIPC flag, 14 securityContext PodSecurityContext,
    15 imagePullSecrets LocalObjectReference*, 16 hostname, 17 subdomain, 18 affinity Affinity, 19 schedulerName,
    20 initContainers Container*, 21 automountServiceAccountToken bool, 22 tolerations Toleration*,
    23 hostAliases HostAlias*, 24 priorityClassName, 25 priority int, 26 dnsConfig PodDNSConfig,
    27 shareProcessNamespace bool, 28 readinessGates PodReadinessGate*, 29 runtimeClassName, 30 enableServiceLinks bool,
    31 preemptionPolicy, 32 overhead quantity{}, 33 topologySpreadConstraints TopologySpreadConstraint*,
    34 ephemeralContainers EphemeralContainer*, 35 setHostnameAsFQDN bool, 36 os PodOS, 37 hostUsers bool,
    38 schedulingGates PodSchedulingGate*, 39 resourceClaims PodResourceClaim*, 40 resources ResourceRequirements
PodSecurityContext: 1 seLinuxOptions SELinuxOptions, 2 runAsUser int, 3 runAsNonRoot bool, 4 supplementalGroups int*,
    5 fsGroup int, 6 runAsGroup int, 7 sysctls Sysctl*, 8 windowsOptions WindowsSecurityContextOptions,
    9 fsGroupChangePolicy, 10 seccompProfile SeccompProfile, 11 appArmorProfile AppArmorProfile,
    12 supplementalGroupsPolicy, 13 seLinuxChangePolicy
Sysctl: 1 name, 2 value value
SELinuxOptions: 1 user, 2 role, 3 type, 4 level
WindowsSecurityContextOptions: 1 gmsaCredentialSpecName, 2 gmsaCredentialSpec, 3 runAsUserName, 4 hostProcess bool
SeccompProfile: 1 type, 2 localhostProfile
AppArmorProfile: 1 type, 2 localhostProfile
HostAlias: 1 ip, 2 hostnames *
PodDNSConfig: 1 nameservers *, 2 searches *, 3 options PodDNSConfigOption*
PodDNSConfigOption: 1 name, 2 value value
PodReadinessGate: 1 conditionType
PodOS: 1 name
PodSchedulingGate: 1 name
PodResourceClaim: 1 name, 3 resourceClaimName, 4 resourceClaimTemplateName
TopologySpreadConstraint: 1 maxSkew int, 2 topologyKey, 3 whenUnsatisfiable, 4 labelSelector LabelSelector,
    5 minDomains int, 6 nodeAffinityPolicy, 7 nodeTaintsPolicy, 8 matchLabelKeys *
Toleration: 1 key, 2 operator, 3 value, 4 effect, 5 tolerationSeconds int
Affinity: 1 nodeAffinity NodeAffinity, 2 podAffinity PodAffinity, 3 podAntiAffinity PodAffinity
NodeAffinity: 1 requiredDuringSchedulingIgnoredDuringExecution NodeSelector,
    2 preferredDuringSchedulingIgnoredDuringExecution PreferredSchedulingTerm*
NodeSelector: 1 nodeSelectorTerms NodeSelectorTerm*
NodeSelectorTerm: 1 matchExpressions LabelSelectorRequirement*, 2 matchFields LabelSelectorRequirement*
PreferredSchedulingTerm: 1 weight int, 2 preference NodeSelectorTerm
PodAffinity: 1 requiredDuringSchedulingIgnoredDuringExecution PodAffinityTerm*,
    2 preferredDuringSchedulingIgnoredDuringExecution WeightedPodAffinityTerm*
PodAffinityTerm: 1 labelSelector LabelSelector, 2 namespaces *, 3 topologyKey, 4 namespaceSelector LabelSelector,
    5 matchLabelKeys *, 6 mismatchLabelKeys *
WeightedPodAffinityTerm: 1 weight int, 2 podAffinityTerm PodAffinityTerm
Container: 1 name, 2 image, 3 command *, 4 args *, 5 workingDir, 6 ports ContainerPort*, 7 env EnvVar*,
    8 resources ResourceRequirements, 9 volumeMounts VolumeMount*, 10 livenessProbe Probe, 11 readinessProbe Probe,
    12 lifecycle Lifecycle, 13 terminationMessagePath, 14 imagePullPolicy, 15 securityContext SecurityContext,
    16 stdin flag, 17 stdinOnce flag, 18 tty flag, 19 envFrom EnvFromSource*, 20 terminationMessagePolicy,
    21 volumeDevices VolumeDevice*, 22 startupProbe Probe, 23 resizePolicy ContainerResizePolicy*, 24 restartPolicy
EphemeralContainer: 1 container Container&, 2 targetContainerName
ContainerPort: 1 name, 2 hostPort count, 3 containerPort int, 4 protocol, 5 hostIP
ContainerResizePolicy: 1 resourceName, 2 restartPolicy
ResourceRequirements: 1 limits quantity{}, 2 requests quantity{}, 3 claims ResourceClaim*
ResourceClaim: 1 name, 2 request
VolumeMount: 1 name, 2 readOnly flag, 3 mountPath, 4 subPath, 5 mountPropagation, 6 subPathExpr, 7 recursiveReadOnly
VolumeDevice: 1 name, 2 devicePath
SecurityContext: 1 capabilities Capabilities, 2 privileged bool, 3 seLinuxOptions SELinuxOptions, 4 runAsUser int,
    5 runAsNonRoot bool, 6 readOnlyRootFilesystem bool, 7 allowPrivilegeEscalation bool, 8 runAsGroup int, 9 procMount,
    10 windowsOptions WindowsSecurityContextOptions, 11 seccompProfile SeccompProfile,
    12 appArmorProfile AppArmorProfile
Capabilities: 1 add *, 2 drop *
EnvFromSource: 1 prefix, 2 configMapRef NameSelector, 3 secretRef NameSelector
NameSelector: 1 reference LocalObjectReference&, 2 optional bool
EnvVar: 1 name, 2 value, 3 valueFrom EnvVarSource
EnvVarSource: 1 fieldRef ObjectFieldSelector, 2 resourceFieldRef ResourceFieldSelector, 3 configMapKeyRef KeySelector,
    4 secretKeyRef KeySelector
KeySelector: 1 reference LocalObjectReference&, 2 key, 3 optional bool
ObjectFieldSelector: 1 apiVersion, 2 fieldPath
ResourceFieldSelector: 1 containerName, 2 resource, 3 divisor quantity
Probe: 1 handler Handler&, 2 initialDelaySeconds count, 3 timeoutSeconds count, 4 periodSeconds count,
    5 successThreshold count, 6 failureThreshold count, 7 terminationGracePeriodSeconds int
Handler: 1 exec ExecAction, 2 httpGet HTTPGetAction, 3 tcpSocket TCPSocketAction, 4 grpc GRPCAction
Lifecycle: 1 postStart LifecycleHandler, 2 preStop LifecycleHandler
LifecycleHandler: 1 exec ExecAction, 2 httpGet HTTPGetAction, 3 tcpSocket TCPSocketAction, 4 sleep SleepAction
ExecAction: 1 command *
HTTPGetAction: 1 path, 2 port number or text, 3 host, 4 scheme, 5 httpHeaders HTTPHeader*
HTTPHeader: 1 name, 2 value value
TCPSocketAction: 1 port number or text, 2 host
GRPCAction: 1 port int, 2 service
SleepAction: 1 seconds int
Volume: 1 name, 2 source VolumeSource&
VolumeSource: 1 hostPath HostPath, 2 emptyDir EmptyDir, 6 secret SecretFiles, 10 persistentVolumeClaim Claim,
    16 downwardAPI DownwardFiles, 19 configMap ConfigMapFiles, 26 projected Projected
HostPath: 1 path, 2 type
EmptyDir: 1 medium, 2 sizeLimit quantity
SecretFiles: 1 secretName, 2 items KeyToPath*, 3 defaultMode int, 4 optional bool
Claim: 1 claimName, 2 readOnly flag
DownwardFiles: 1 items DownwardFile*, 2 defaultMode int
DownwardItems: 1 items DownwardFile*
DownwardFile: 1 path, 2 fieldRef ObjectFieldSelector, 3 resourceFieldRef ResourceFieldSelector, 4 mode int
ConfigMapFiles: 1 reference LocalObjectReference&, 2 items KeyToPath*, 3 defaultMode int, 4 optional bool
KeyToPath: 1 key, 2 path, 3 mode int
Projected: 1 sources Projection*, 2 defaultMode int
Projection: 1 secret NamedFiles, 2 downwardAPI DownwardItems, 3 configMap NamedFiles, 4 serviceAccountToken TokenFile
NamedFiles: 1 reference LocalObjectReference&, 2 items KeyToPath*, 4 optional bool
TokenFile: 1 audience, 2 expirationSeconds int, 3 path
"""
