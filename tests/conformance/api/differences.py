"""Where the two servers may answer differently, and why: everything else is held to the same expectation.

Either Kubernetes 1.20 is older than the API that Boxfleet offers, or kube-apiserver blames itself (500) for what is the
client's fault.
"""

import dataclasses
from typing import Any

from tests.conformance.api import wire


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Differs:
    """What each server is expected to do."""

    boxfleet: Any
    kubernetes: Any
    because: str

    def by(self, api: wire.Api) -> Any:
        """The expectation of one server."""
        return self.kubernetes if api.real else self.boxfleet


CREATE_WITH_REVISION = Differs(
    boxfleet=(400, "BadRequest"),
    kubernetes=(500, ""),
    because="kube-apiserver blames itself for a client's resourceVersion on a create",
)
WATCH_FROM_NONSENSE = Differs(
    boxfleet=(400, "BadRequest"),
    kubernetes=(500, ""),
    because="kube-apiserver blames itself for a resourceVersion that is no number on a watch",
)
OTHER_NAMESPACE = Differs(
    boxfleet="the namespace of the provided object does not match the namespace sent on the request",
    kubernetes="the namespace of the object (default) does not match the namespace on the request ({})",
    because="Kubernetes says it otherwise since 1.21",
)
COPY_OF_A_MISSING_KEY = Differs(boxfleet=422, kubernetes=200, because="Kubernetes 1.20 copies nothing, as null")
MALFORMED_JSON_PATCH = Differs(
    boxfleet=(400,), kubernetes=(400, 422, 500), because="kube-apiserver blames itself for some, and is not of one mind"
)
MALFORMED_MERGE_PATCH = Differs(
    boxfleet=(400,), kubernetes=(400, 422, 500), because="kube-apiserver blames itself for some, and is not of one mind"
)
STRATEGIC_NONSENSE = Differs(
    boxfleet=(400, 422), kubernetes=(400, 422, 500), because="kube-apiserver blames itself for a client's mistake"
)
ODD_DELETE_OPTIONS = Differs(
    boxfleet=(400,), kubernetes=(400, 500), because="kube-apiserver blames itself for options that do not decode"
)
FLAG_NONSENSE = Differs(
    boxfleet=(400, "BadRequest"), kubernetes=None, because="kube-apiserver takes any word but false for a yes"
)
LIST_FROM_NONSENSE = Differs(
    boxfleet=(400, "BadRequest"), kubernetes=(500, ""), because="Kubernetes answers 400 since 1.2x, too"
)
EXACT_FUTURE = Differs(
    boxfleet=(504, "Timeout"), kubernetes=(500, ""), because="kube-apiserver hands etcd's words on as its own fault"
)
TOO_LARGE = Differs(
    boxfleet="Too large resource version: {}, current: {}",
    kubernetes="Timeout: Too large resource version: {}, current: {}",
    because="Kubernetes 1.20 names the reason in front",
)
INITIAL_EVENTS = Differs(boxfleet=True, kubernetes=False, because="Kubernetes has sendInitialEvents since 1.27")
LIMIT_FROM_MEMORY = Differs(
    boxfleet=True,
    kubernetes=False,
    because="kube-apiserver ignores the limit of a list from its cache (resourceVersion 0)",
)
TOO_OLD = Differs(
    boxfleet="too old resource version: {} (",
    kubernetes="The resourceVersion for the provided watch is too old.",
    because="kube-apiserver's cache says the one, etcd the other; here it can be made to forget only in etcd",
)
REMAINING_METADATA = Differs(
    boxfleet=1, kubernetes=None, because="Kubernetes 1.20 loses the count on the way to PartialObjectMetadataList"
)
EMPTY_NAMESPACE = Differs(
    boxfleet=404, kubernetes=200, because="kube-apiserver takes an empty part of a path for all namespaces"
)
AGGREGATED_DISCOVERY = Differs(
    boxfleet=True, kubernetes=False, because="Kubernetes has aggregated discovery since 1.26"
)
OPENAPI_V3 = Differs(boxfleet=True, kubernetes=False, because="Kubernetes has OpenAPI v3 since 1.23")
EVICTION = Differs(boxfleet="policy/v1", kubernetes="policy/v1beta1", because="Kubernetes has policy/v1 since 1.22")
BINDING_WITHOUT_NODE = Differs(
    boxfleet=(422,), kubernetes=(400, 422, 500), because="kube-apiserver blames itself for a client's mistake"
)
NAMESPACE_LABEL = Differs(boxfleet=True, kubernetes=False, because="Kubernetes labels Namespaces since 1.21")
UNTYPED_APPLY = Differs(
    boxfleet=400, kubernetes=500, because="kube-apiserver blames itself for an applied object that fits no schema"
)
APPLIED_SCALE = Differs(
    boxfleet=True, kubernetes=False, because="Kubernetes 1.20 breaks off the connection when a Scale is applied"
)
SCALED_BY = Differs(
    boxfleet=[("hand", "Update", "scale")],
    kubernetes=[("maker", "Update", "")],
    because="Kubernetes keeps account of scaling since 1.22",
)
