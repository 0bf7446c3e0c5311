"""What the standard models leave out: integer widths, values of maps, enumerations and merge keys.

Source: the Kubernetes API reference, v1.32, and the API conventions (strategic merge patch).
"""

from boxfleet.apiserver.schema import nodes

# Fields of 64 bits; all other integers of the standard kinds have 32.
INT64 = frozenset({
    "activeDeadlineSeconds", "defaultUser", "deletionGracePeriodSeconds", "expirationSeconds", "fsGroup", "generation",
    "gid", "gracePeriodSeconds", "maxItems", "maxLength", "maxProperties", "minItems", "minLength", "minProperties",
    "observedGeneration", "remainingItemCount", "runAsGroup", "runAsUser", "seconds",
    "sizeBytes", "supplementalGroups", "terminationGracePeriodSeconds", "tolerationSeconds", "uid", "user",
})  # fmt: skip

# Maps whose values are quantities; (record, field) where the field's name alone would not do.
QUANTITY_MAPS = frozenset({
    "allocatable", "allocatedResources", "capacity", "default", "defaultRequest", "hard", "limits", "max",
    "maxLimitRequestRatio", "min", "overhead", "requests", "used",
})  # fmt: skip
# Maps whose values are lists of words.
LIST_MAPS = frozenset(
    {("SubjectAccessReviewSpec", "extra"), ("UserInfo", "extra"), ("CertificateSigningRequestSpec", "extra")}
)
BYTE_MAPS = frozenset({("ConfigMap", "binaryData"), ("Secret", "data")})

# Maps of records by name, and of anything.
RECORD_MAPS = {
    ("JSONSchemaProps", name): "apiextensions_v1.JSONSchemaProps"
    for name in ("definitions", "patternProperties", "properties")
}
FREE_MAPS = frozenset({("JSONSchemaProps", "dependencies")})

_PROTOCOLS = ("TCP", "UDP", "SCTP")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")

# Records whose required fields the kinds' own validation looks at, after defaults.
LENIENT = frozenset({"PolicyRule", "RoleRef", "Subject", "ClusterRoleBinding", "RoleBinding"})

# Shown by `kubectl explain`; enforced by the kinds' own validation, as in Kubernetes.
ENUMS: dict[tuple[str, str], tuple[str, ...]] = {
    ("Container", "imagePullPolicy"): ("Always", "IfNotPresent", "Never"),
    ("Container", "terminationMessagePolicy"): ("File", "FallbackToLogsOnError"),
    ("ContainerPort", "protocol"): _PROTOCOLS,
    ("EphemeralContainer", "imagePullPolicy"): ("Always", "IfNotPresent", "Never"),
    ("HTTPGetAction", "scheme"): ("HTTP", "HTTPS"),
    ("HostPathVolumeSource", "type"): (
        "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket",
    ),
    ("NamespaceStatus", "phase"): ("Active", "Terminating"),
    ("NodeSelectorRequirement", "operator"): ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"),
    ("PersistentVolumeClaimSpec", "volumeMode"): ("Block", "Filesystem"),
    ("PersistentVolumeClaimStatus", "phase"): ("Pending", "Bound", "Lost"),
    ("PodSecurityContext", "fsGroupChangePolicy"): ("OnRootMismatch", "Always"),
    ("PodSpec", "dnsPolicy"): ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
    ("PodSpec", "preemptionPolicy"): ("Never", "PreemptLowerPriority"),
    ("PodSpec", "restartPolicy"): ("Always", "OnFailure", "Never"),
    ("PodStatus", "phase"): ("Pending", "Running", "Succeeded", "Failed", "Unknown"),
    ("PodStatus", "qosClass"): ("Guaranteed", "Burstable", "BestEffort"),
    ("SeccompProfile", "type"): ("Localhost", "RuntimeDefault", "Unconfined"),
    ("Taint", "effect"): _EFFECTS,
    ("Toleration", "effect"): _EFFECTS,
    ("Toleration", "operator"): ("Exists", "Equal"),
    ("TopologySpreadConstraint", "whenUnsatisfiable"): ("DoNotSchedule", "ScheduleAnyway"),
}  # fmt: skip

# What a missing field counts as; only where it is part of an item's key.
DEFAULTS: dict[tuple[str, str], str] = {("ContainerPort", "protocol"): "TCP", ("ServicePort", "protocol"): "TCP"}

# Lists whose type for server-side apply is not what their merge key below says: the keys of a map, or ATOMIC or SET.
# All other lists without a merge key are atomic.
LIST_TYPES: dict[tuple[str, str], tuple[str, ...] | str] = {
    ("Container", "ports"): ("containerPort", "protocol"),
    ("EphemeralContainer", "ports"): ("containerPort", "protocol"),
    ("HorizontalPodAutoscalerStatus", "conditions"): ("type",),
    ("PodDisruptionBudgetStatus", "conditions"): ("type",),
    ("PodSpec", "topologySpreadConstraints"): ("topologyKey", "whenUnsatisfiable"),
    ("PodStatus", "hostIPs"): nodes.ATOMIC,
    ("ResourceRequirements", "claims"): ("name",),
    ("ServiceSpec", "ports"): ("port", "protocol"),
    ("ServiceStatus", "conditions"): ("type",),
    ("CertificateSigningRequestStatus", "conditions"): ("type",),
    ("CustomResourceDefinitionStatus", "conditions"): ("type",),
}

# Objects and maps that are owned as a whole: (record, "") for a record wherever it stands, else one field.
ATOMIC_MAPS = frozenset({
    ("AggregationRule", ""), ("ConfigMapKeySelector", ""), ("ConfigMapNodeConfigSource", ""),
    ("CrossVersionObjectReference", ""), ("LabelSelector", ""), ("LocalObjectReference", ""), ("NodeSelector", ""),
    ("NodeSelectorTerm", ""), ("ObjectFieldSelector", ""), ("ObjectReference", ""), ("OwnerReference", ""),
    ("PodSpec", "nodeSelector"), ("ResourceFieldSelector", ""),
    ("RoleRef", ""), ("ScopeSelector", ""), ("ScopedResourceSelectorRequirement", ""), ("SecretKeySelector", ""),
    ("SecretReference", ""), ("ServiceSpec", "selector"), ("Subject", ""), ("TopologySelectorTerm", ""),
    ("TypedLocalObjectReference", ""),
})  # fmt: skip

# Lists that strategic merge patch merges: (strategy, key). An empty key is a list of plain values.
MERGE_KEYS: dict[tuple[str, str], tuple[str, str]] = {
    ("Container", "env"): ("merge", "name"),
    ("Container", "ports"): ("merge", "containerPort"),
    ("Container", "volumeDevices"): ("merge", "devicePath"),
    ("Container", "volumeMounts"): ("merge", "mountPath"),
    ("EphemeralContainer", "env"): ("merge", "name"),
    ("EphemeralContainer", "ports"): ("merge", "containerPort"),
    ("EphemeralContainer", "volumeDevices"): ("merge", "devicePath"),
    ("EphemeralContainer", "volumeMounts"): ("merge", "mountPath"),
    ("NamespaceStatus", "conditions"): ("merge", "type"),
    ("NodeSpec", "podCIDRs"): ("merge", ""),
    ("NodeStatus", "addresses"): ("merge", "type"),
    ("NodeStatus", "conditions"): ("merge", "type"),
    ("ObjectMeta", "finalizers"): ("merge", ""),
    ("ObjectMeta", "ownerReferences"): ("merge", "uid"),
    ("PersistentVolumeClaimStatus", "conditions"): ("merge", "type"),
    ("PodSpec", "containers"): ("merge", "name"),
    ("PodSpec", "ephemeralContainers"): ("merge", "name"),
    ("PodSpec", "hostAliases"): ("merge", "ip"),
    ("PodSpec", "imagePullSecrets"): ("merge", "name"),
    ("PodSpec", "initContainers"): ("merge", "name"),
    ("PodSpec", "resourceClaims"): ("merge,retainKeys", "name"),
    ("PodSpec", "schedulingGates"): ("merge", "name"),
    ("PodSpec", "topologySpreadConstraints"): ("merge", "topologyKey"),
    ("PodSpec", "volumes"): ("merge,retainKeys", "name"),
    ("PodStatus", "conditions"): ("merge", "type"),
    ("PodStatus", "hostIPs"): ("merge", "ip"),
    ("PodStatus", "podIPs"): ("merge", "ip"),
    ("PodStatus", "resourceClaimStatuses"): ("merge,retainKeys", "name"),
    ("ServiceAccount", "secrets"): ("merge", "name"),
}
