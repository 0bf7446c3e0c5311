"""Step 2: who wants an address; which pool it comes from is the ledger's to say."""

from boxfleet.api import address, labels, meta, pod, unit
from boxfleet.controllers.address import ledger
from boxfleet.planning import domains, manifest


def of_unit(subject: unit.Unit, *, suffix: str) -> list[ledger.Claim]:
    """A claim for every instance of a Unit; none on the host's network."""
    if subject.spec.pod_template().spec.hostNetwork:
        return []
    unit_domain = domains.of_unit(subject, suffix=suffix)
    return [
        ledger.Claim(
            address.AddressSpec(
                pool="",
                namespace=subject.metadata.namespace,
                instance=(name := manifest.instance_name(subject, ordinal)),
                unit=subject.metadata.name,
                domain=domains.of_instance(name, unit_domain=unit_domain),
                unitDomain=unit_domain,
            )
        )
        for ordinal in range(subject.spec.replicas)
    ]


def of_pod(subject: pod.Pod, *, suffix: str) -> ledger.Claim:
    """The claim of a Pod of its own."""
    namespace, name = subject.metadata.namespace, subject.metadata.name
    domain = domains.of_pod(namespace=namespace, name=name, suffix=suffix)
    return ledger.Claim(address.AddressSpec(pool="", namespace=namespace, instance=name, domain=domain))


def is_alone(subject: pod.Pod) -> bool:
    """Whether a Pod is no Unit's instance and wants an address of its own."""
    controller = meta.controller_of(subject)
    of_a_unit = controller is not None and controller.kind == unit.Unit.KIND.kind
    return not of_a_unit and not subject.spec.hostNetwork


def wanted_annotation(subject: pod.Pod) -> str:
    """The address that a Pod already says it has."""
    return subject.metadata.annotations.get(labels.ADDRESS, "")
