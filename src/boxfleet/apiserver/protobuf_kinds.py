"""The kinds besides Pods that kubectl writes in Kubernetes' protobuf form, in the notation of `protobuf_records`.

Numbers are those of Kubernetes' published API definitions.
"""

TABLE = """
Unset:
UnsetReview: 1 userInfo Unset
UnsetTokenReview: 2 user Unset
TypeMeta: 1 apiVersion, 2 kind
ObjectMeta: 1 name, 2 generateName, 3 namespace, 4 selfLink, 5 uid, 6 resourceVersion, 7 generation count,
    8 creationTimestamp time, 9 deletionTimestamp time, 10 deletionGracePeriodSeconds int, 11 labels {},
    12 annotations {}, 13 ownerReferences OwnerReference*, 14 finalizers *, 17 managedFields ManagedFieldsEntry*
ManagedFieldsEntry: 1 manager, 2 operation, 3 apiVersion, 4 time time, 6 fieldsType, 7 fieldsV1 json, 8 subresource
OwnerReference: 1 kind, 3 name, 4 uid, 5 apiVersion, 6 controller bool, 7 blockOwnerDeletion bool
ObjectReference: 1 kind, 2 namespace, 3 name, 4 uid, 5 apiVersion, 6 resourceVersion, 7 fieldPath
LocalObjectReference: 1 name
NamespaceSpec: 1 finalizers *
NamespaceStatus: 1 phase, 2 conditions NamespaceCondition*
NamespaceCondition: 1 type, 2 status, 4 lastTransitionTime time, 5 reason, 6 message
Preconditions: 1 uid, 2 resourceVersion
v1/DeleteOptions: 1 gracePeriodSeconds int, 2 preconditions Preconditions, 3 orphanDependents bool,
    4 propagationPolicy, 5 dryRun *
v1/ConfigMap: 1 metadata ObjectMeta, 2 data {}, 3 binaryData bytes{}, 4 immutable bool
v1/Secret: 1 metadata ObjectMeta, 2 data bytes{}, 3 type, 4 stringData {}, 5 immutable bool
v1/Namespace: 1 metadata ObjectMeta, 2 spec NamespaceSpec, 3 status NamespaceStatus
v1/ServiceAccount: 1 metadata ObjectMeta, 2 secrets ObjectReference*, 3 imagePullSecrets LocalObjectReference*,
    4 automountServiceAccountToken bool
v1/Service: 1 metadata ObjectMeta, 2 spec ServiceSpec, 3 status Unset
ServiceSpec: 1 ports ServicePort*, 2 selector {}, 3 clusterIP, 4 type, 5 externalIPs *, 7 sessionAffinity,
    8 loadBalancerIP, 9 loadBalancerSourceRanges *, 10 externalName, 11 externalTrafficPolicy,
    12 healthCheckNodePort count, 13 publishNotReadyAddresses flag, 17 ipFamilyPolicy, 18 clusterIPs *, 19 ipFamilies *,
    20 allocateLoadBalancerNodePorts bool, 21 loadBalancerClass, 22 internalTrafficPolicy, 23 trafficDistribution
ServicePort: 1 name, 2 protocol, 3 port int, 4 targetPort number or text, 5 nodePort count, 6 appProtocol
v1/Binding: 1 metadata ObjectMeta, 2 target ObjectReference
policy/v1/Eviction: 1 metadata ObjectMeta, 2 deleteOptions v1/DeleteOptions
LabelSelectorRequirement: 1 key, 2 operator, 3 values *
LabelSelector: 1 matchLabels {}, 2 matchExpressions LabelSelectorRequirement*
AggregationRule: 1 clusterRoleSelectors LabelSelector*
PolicyRule: 1 verbs *, 2 apiGroups *, 3 resources *, 4 resourceNames *, 5 nonResourceURLs *
RoleRef: 1 apiGroup, 2 kind, 3 name
Subject: 1 kind, 2 apiGroup, 3 name, 4 namespace
rbac.authorization.k8s.io/v1/Role: 1 metadata ObjectMeta, 2 rules PolicyRule*
rbac.authorization.k8s.io/v1/ClusterRole: 1 metadata ObjectMeta, 2 rules PolicyRule*, 3 aggregationRule AggregationRule
rbac.authorization.k8s.io/v1/RoleBinding: 1 metadata ObjectMeta, 2 subjects Subject*, 3 roleRef RoleRef
SelectorAttributes: 1 rawSelector
ResourceAttributes: 1 namespace, 2 verb, 3 group, 4 version, 5 resource, 6 subresource, 7 name,
    8 fieldSelector SelectorAttributes, 9 labelSelector SelectorAttributes
NonResourceAttributes: 1 path, 2 verb
SelfSubjectAccessReviewSpec: 1 resourceAttributes ResourceAttributes, 2 nonResourceAttributes NonResourceAttributes
SubjectAccessReviewSpec: 1 resourceAttributes ResourceAttributes, 2 nonResourceAttributes NonResourceAttributes,
    3 user, 4 groups *, 5 extra texts{}, 6 uid
SelfSubjectRulesReviewSpec: 1 namespace
TokenReviewSpec: 1 token, 2 audiences *
authentication.k8s.io/v1/SelfSubjectReview: 1 metadata ObjectMeta, 2 status UnsetReview
authentication.k8s.io/v1beta1/SelfSubjectReview: 1 metadata ObjectMeta, 2 status UnsetReview
authentication.k8s.io/v1/TokenReview: 1 metadata ObjectMeta, 2 spec TokenReviewSpec, 3 status UnsetTokenReview
rbac.authorization.k8s.io/v1/ClusterRoleBinding: 1 metadata ObjectMeta, 2 subjects Subject*, 3 roleRef RoleRef
authorization.k8s.io/v1/SubjectAccessReview: 1 metadata ObjectMeta, 2 spec SubjectAccessReviewSpec, 3 status Unset
authorization.k8s.io/v1/SelfSubjectAccessReview: 1 metadata ObjectMeta, 2 spec SelfSubjectAccessReviewSpec,
    3 status Unset
authorization.k8s.io/v1/SelfSubjectRulesReview: 1 metadata ObjectMeta, 2 spec SelfSubjectRulesReviewSpec,
    3 status Unset
authorization.k8s.io/v1/LocalSubjectAccessReview: 1 metadata ObjectMeta, 2 spec SubjectAccessReviewSpec, 3 status Unset
authentication.k8s.io/v1/TokenRequest: 1 metadata ObjectMeta, 2 spec TokenRequestSpec, 3 status Unset
TokenRequestSpec: 1 audiences *, 3 boundObjectRef BoundObjectReference, 4 expirationSeconds int
BoundObjectReference: 1 kind, 2 apiVersion, 3 name, 4 uid
certificates.k8s.io/v1/CertificateSigningRequest: 1 metadata ObjectMeta, 2 spec CertificateSigningRequestSpec,
    3 status CertificateSigningRequestStatus
CertificateSigningRequestSpec: 1 request bytes, 2 username, 3 uid, 4 groups *, 5 usages *, 6 extra texts{},
    7 signerName, 8 expirationSeconds int
CertificateSigningRequestStatus: 1 conditions CertificateSigningRequestCondition*, 2 certificate bytes
CertificateSigningRequestCondition: 1 type, 2 reason, 3 message, 4 lastUpdateTime time, 5 lastTransitionTime time,
    6 status
v1/ResourceQuota: 1 metadata ObjectMeta, 2 spec ResourceQuotaSpec, 3 status Unset
ResourceQuotaSpec: 1 hard quantity{}, 2 scopes *, 3 scopeSelector ScopeSelector
ScopeSelector: 1 matchExpressions ScopedResourceSelectorRequirement*
ScopedResourceSelectorRequirement: 1 scopeName, 2 operator, 3 values *
scheduling.k8s.io/v1/PriorityClass: 1 metadata ObjectMeta, 2 value int, 3 globalDefault flag, 4 description,
    5 preemptionPolicy
policy/v1/PodDisruptionBudget: 1 metadata ObjectMeta, 2 spec PodDisruptionBudgetSpec, 3 status Unset
PodDisruptionBudgetSpec: 1 minAvailable number or text, 2 selector LabelSelector, 3 maxUnavailable number or text,
    4 unhealthyPodEvictionPolicy
CrossVersionObjectReference: 1 kind, 2 name, 3 apiVersion
autoscaling/v1/HorizontalPodAutoscaler: 1 metadata ObjectMeta, 2 spec v1/HorizontalPodAutoscalerSpec, 3 status Unset
v1/HorizontalPodAutoscalerSpec: 1 scaleTargetRef CrossVersionObjectReference, 2 minReplicas int, 3 maxReplicas int,
    4 targetCPUUtilizationPercentage int
autoscaling/v2/HorizontalPodAutoscaler: 1 metadata ObjectMeta, 2 spec v2/HorizontalPodAutoscalerSpec, 3 status Unset
v2/HorizontalPodAutoscalerSpec: 1 scaleTargetRef CrossVersionObjectReference, 2 minReplicas int, 3 maxReplicas int,
    4 metrics MetricSpec*, 5 behavior Behavior
Behavior: 1 scaleUp ScalingRules, 2 scaleDown ScalingRules
ScalingRules: 1 selectPolicy, 2 policies ScalingPolicy*, 3 stabilizationWindowSeconds int
ScalingPolicy: 1 type, 2 value int, 3 periodSeconds int
MetricSpec: 1 type, 4 resource ResourceMetricSource
ResourceMetricSource: 1 name, 2 target MetricTarget
MetricTarget: 1 type, 2 value quantity, 3 averageValue quantity, 4 averageUtilization int
"""
