"""Which fields the messages of Kubernetes' protobuf form have, as far as kubectl writes them.

Numbers are those of Kubernetes' published API definitions (``generated.proto``).
"""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """A field's JSON name; how it is read (text, texts, bytes, int, bool, time, quantity, number or text,
    or a record); whether it repeats."""

    name: str
    type: str = "text"
    shape: str = "one"


Record = dict[int, Field]

_OBJECT_REFERENCE: Record = {
    number: Field(name)
    for number, name in enumerate(
        ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"), start=1
    )
}
RECORDS: dict[str, Record] = {
    "ObjectMeta": {
        1: Field("name"),
        2: Field("generateName"),
        3: Field("namespace"),
        5: Field("uid"),
        6: Field("resourceVersion"),
        7: Field("generation", "int"),
        8: Field("creationTimestamp", "time"),
        9: Field("deletionTimestamp", "time"),
        10: Field("deletionGracePeriodSeconds", "int"),
        11: Field("labels", "text", "map"),
        12: Field("annotations", "text", "map"),
        13: Field("ownerReferences", "OwnerReference", "list"),
        14: Field("finalizers", "text", "list"),
    },
    "OwnerReference": {
        1: Field("kind"),
        3: Field("name"),
        4: Field("uid"),
        5: Field("apiVersion"),
        6: Field("controller", "bool"),
        7: Field("blockOwnerDeletion", "bool"),
    },
    "ObjectReference": _OBJECT_REFERENCE,
    "LocalObjectReference": {1: Field("name")},
    "NamespaceSpec": {1: Field("finalizers", "text", "list")},
    "NamespaceStatus": {1: Field("phase")},
    "Preconditions": {1: Field("uid"), 2: Field("resourceVersion")},
    "v1/DeleteOptions": {
        1: Field("gracePeriodSeconds", "int"),
        2: Field("preconditions", "Preconditions"),
        3: Field("orphanDependents", "bool"),
        4: Field("propagationPolicy"),
        5: Field("dryRun", "text", "list"),
    },
    "v1/ConfigMap": {
        1: Field("metadata", "ObjectMeta"),
        2: Field("data", "text", "map"),
        3: Field("binaryData", "bytes", "map"),
        4: Field("immutable", "bool"),
    },
    "v1/Secret": {
        1: Field("metadata", "ObjectMeta"),
        2: Field("data", "bytes", "map"),
        3: Field("type"),
        4: Field("stringData", "text", "map"),
        5: Field("immutable", "bool"),
    },
    "v1/Namespace": {
        1: Field("metadata", "ObjectMeta"),
        2: Field("spec", "NamespaceSpec"),
        3: Field("status", "NamespaceStatus"),
    },
    "v1/ServiceAccount": {
        1: Field("metadata", "ObjectMeta"),
        2: Field("secrets", "ObjectReference", "list"),
        3: Field("imagePullSecrets", "LocalObjectReference", "list"),
        4: Field("automountServiceAccountToken", "bool"),
    },
    "v1/Binding": {1: Field("metadata", "ObjectMeta"), 2: Field("target", "ObjectReference")},
    "policy/v1/Eviction": {1: Field("metadata", "ObjectMeta"), 2: Field("deleteOptions", "v1/DeleteOptions")},
}
_RBAC = "rbac.authorization.k8s.io/v1/"
_ASK = "authorization.k8s.io/v1/"
_WHO = "authentication.k8s.io/"
RECORDS |= {
    "LabelSelectorRequirement": {1: Field("key"), 2: Field("operator"), 3: Field("values", "text", "list")},
    "LabelSelector": {
        1: Field("matchLabels", "text", "map"),
        2: Field("matchExpressions", "LabelSelectorRequirement", "list"),
    },
    "AggregationRule": {1: Field("clusterRoleSelectors", "LabelSelector", "list")},
    "PolicyRule": {
        number: Field(name, "text", "list")
        for number, name in enumerate(("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs"), start=1)
    },
    "RoleRef": {1: Field("apiGroup"), 2: Field("kind"), 3: Field("name")},
    "Subject": {1: Field("kind"), 2: Field("apiGroup"), 3: Field("name"), 4: Field("namespace")},
    f"{_RBAC}Role": {1: Field("metadata", "ObjectMeta"), 2: Field("rules", "PolicyRule", "list")},
    f"{_RBAC}ClusterRole": {
        1: Field("metadata", "ObjectMeta"),
        2: Field("rules", "PolicyRule", "list"),
        3: Field("aggregationRule", "AggregationRule"),
    },
    f"{_RBAC}RoleBinding": {
        1: Field("metadata", "ObjectMeta"),
        2: Field("subjects", "Subject", "list"),
        3: Field("roleRef", "RoleRef"),
    },
    "SelectorAttributes": {1: Field("rawSelector")},
    "ResourceAttributes": {
        **{
            number: Field(name)
            for number, name in enumerate(
                ("namespace", "verb", "group", "version", "resource", "subresource", "name"), start=1
            )
        },
        8: Field("fieldSelector", "SelectorAttributes"),
        9: Field("labelSelector", "SelectorAttributes"),
    },
    "NonResourceAttributes": {1: Field("path"), 2: Field("verb")},
    "SelfSubjectAccessReviewSpec": {
        1: Field("resourceAttributes", "ResourceAttributes"),
        2: Field("nonResourceAttributes", "NonResourceAttributes"),
    },
    "SubjectAccessReviewSpec": {
        1: Field("resourceAttributes", "ResourceAttributes"),
        2: Field("nonResourceAttributes", "NonResourceAttributes"),
        3: Field("user"),
        4: Field("groups", "text", "list"),
        5: Field("extra", "texts", "map"),
        6: Field("uid"),
    },
    "SelfSubjectRulesReviewSpec": {1: Field("namespace")},
    "TokenReviewSpec": {1: Field("token"), 2: Field("audiences", "text", "list")},
    # Of a question nothing but the question is read.
    f"{_WHO}v1/SelfSubjectReview": {1: Field("metadata", "ObjectMeta")},
    f"{_WHO}v1beta1/SelfSubjectReview": {1: Field("metadata", "ObjectMeta")},
    f"{_WHO}v1/TokenReview": {1: Field("metadata", "ObjectMeta"), 2: Field("spec", "TokenReviewSpec")},
}
RECORDS[f"{_RBAC}ClusterRoleBinding"] = RECORDS[f"{_RBAC}RoleBinding"]
for _question in ("SubjectAccessReview", "SelfSubjectAccessReview", "SelfSubjectRulesReview"):
    RECORDS[f"{_ASK}{_question}"] = {1: Field("metadata", "ObjectMeta"), 2: Field("spec", f"{_question}Spec")}
RECORDS[f"{_ASK}LocalSubjectAccessReview"] = RECORDS[f"{_ASK}SubjectAccessReview"]
_TYPE_META: Record = {1: Field("apiVersion"), 2: Field("kind")}
RECORDS["TypeMeta"] = _TYPE_META

# authentication/v1 TokenRequest and certificates/v1 CertificateSigningRequest, as `kubectl create token` and
# `kubectl certificate` write them.
_SIGNING = "CertificateSigningRequest"
RECORDS |= {
    "authentication.k8s.io/v1/TokenRequest": {1: Field("metadata", "ObjectMeta"), 2: Field("spec", "TokenRequestSpec")},
    "TokenRequestSpec": {
        1: Field("audiences", "text", "list"),
        3: Field("boundObjectRef", "BoundObjectReference"),
        4: Field("expirationSeconds", "int"),
    },
    "BoundObjectReference": {1: Field("kind"), 2: Field("apiVersion"), 3: Field("name"), 4: Field("uid")},
    f"certificates.k8s.io/v1/{_SIGNING}": {
        1: Field("metadata", "ObjectMeta"),
        2: Field("spec", f"{_SIGNING}Spec"),
        3: Field("status", f"{_SIGNING}Status"),
    },
    f"{_SIGNING}Spec": {
        1: Field("request", "bytes"),
        2: Field("username"),
        3: Field("uid"),
        4: Field("groups", "text", "list"),
        5: Field("usages", "text", "list"),
        6: Field("extra", "texts", "map"),
        7: Field("signerName"),
        8: Field("expirationSeconds", "int"),
    },
    f"{_SIGNING}Status": {
        1: Field("conditions", f"{_SIGNING}Condition", "list"),
        2: Field("certificate", "bytes"),
    },
    f"{_SIGNING}Condition": {
        1: Field("type"),
        2: Field("reason"),
        3: Field("message"),
        4: Field("lastUpdateTime", "time"),
        5: Field("lastTransitionTime", "time"),
        6: Field("status"),
    },
}

_AUTOSCALER = "HorizontalPodAutoscaler"
# As `kubectl create quota|pdb|priorityclass` and `kubectl autoscale` write them.
RECORDS |= {
    "v1/ResourceQuota": {1: Field("metadata", "ObjectMeta"), 2: Field("spec", "ResourceQuotaSpec")},
    "ResourceQuotaSpec": {
        1: Field("hard", "quantity", "map"),
        2: Field("scopes", "text", "list"),
        3: Field("scopeSelector", "ScopeSelector"),
    },
    "ScopeSelector": {1: Field("matchExpressions", "ScopedResourceSelectorRequirement", "list")},
    "ScopedResourceSelectorRequirement": {
        1: Field("scopeName"),
        2: Field("operator"),
        3: Field("values", "text", "list"),
    },
    "scheduling.k8s.io/v1/PriorityClass": {
        1: Field("metadata", "ObjectMeta"),
        2: Field("value", "int"),
        3: Field("globalDefault", "bool"),
        4: Field("description"),
        5: Field("preemptionPolicy"),
    },
    "policy/v1/PodDisruptionBudget": {1: Field("metadata", "ObjectMeta"), 2: Field("spec", "PodDisruptionBudgetSpec")},
    "PodDisruptionBudgetSpec": {
        1: Field("minAvailable", "number or text"),
        2: Field("selector", "LabelSelector"),
        3: Field("maxUnavailable", "number or text"),
        4: Field("unhealthyPodEvictionPolicy"),
    },
    "CrossVersionObjectReference": {1: Field("kind"), 2: Field("name"), 3: Field("apiVersion")},
    f"autoscaling/v1/{_AUTOSCALER}": {1: Field("metadata", "ObjectMeta"), 2: Field("spec", f"v1/{_AUTOSCALER}Spec")},
    f"v1/{_AUTOSCALER}Spec": {
        1: Field("scaleTargetRef", "CrossVersionObjectReference"),
        2: Field("minReplicas", "int"),
        3: Field("maxReplicas", "int"),
        4: Field("targetCPUUtilizationPercentage", "int"),
    },
    f"autoscaling/v2/{_AUTOSCALER}": {1: Field("metadata", "ObjectMeta"), 2: Field("spec", f"v2/{_AUTOSCALER}Spec")},
    f"v2/{_AUTOSCALER}Spec": {
        1: Field("scaleTargetRef", "CrossVersionObjectReference"),
        2: Field("minReplicas", "int"),
        3: Field("maxReplicas", "int"),
        4: Field("metrics", "MetricSpec", "list"),
    },
    "MetricSpec": {1: Field("type"), 4: Field("resource", "ResourceMetricSource")},
    "ResourceMetricSource": {1: Field("name"), 2: Field("target", "MetricTarget")},
    "MetricTarget": {
        1: Field("type"),
        2: Field("value", "quantity"),
        3: Field("averageValue", "quantity"),
        4: Field("averageUtilization", "int"),
    },
}
