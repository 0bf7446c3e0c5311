"""The facts of a Box that templates are rendered from, and the rendering itself."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from boxfleet.api import unit, wellknown
from boxfleet.kit import ids, templates
from boxfleet.planning import domains


class FactPending(Exception):
    """A template needs what is not known yet; the text says what is waited for."""


class RenderError(ValueError):
    """A template cannot be rendered; `where` is its path in the Unit, the text says why."""

    def __init__(self, *, where: str, cause: str) -> None:
        super().__init__(f"{where}: {cause}")
        self.where = where
        self.cause = cause


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One Unit as others see it."""

    name: str
    domain: str
    replicas: int
    ports: Mapping[str, int]
    # Prefix of its instances' names: the Unit object's own name.
    object_name: str
    # By instance name; what is not claimed yet is missing.
    addresses: Mapping[str, str]
    host_network: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Rendered:
    """What one instance is given."""

    env: Mapping[str, str]
    # Content by path.
    files: Mapping[str, str]

    @property
    def env_hash(self) -> str:
        """Fingerprint of the environment; empty when there is none."""
        return ids.fingerprint(dict(self.env)) if self.env else ""

    @property
    def files_hash(self) -> str:
        """Fingerprint of the files; empty when there are none."""
        return ids.fingerprint(dict(self.files)) if self.files else ""


class _Member(dict[str, Any]):
    """An instance whose address may not be known: asking for it then says so instead of giving nothing."""

    def __init__(self, peer: Peer, ordinal: int) -> None:
        name = f"{peer.object_name}-{ordinal}"
        super().__init__(name=name, ordinal=ordinal, domain=domains.of_instance(name, unit_domain=peer.domain))
        self._host_network = peer.host_network
        if (address := peer.addresses.get(name)) is not None:
            self["address"] = address

    def __missing__(self, key: str) -> Any:
        if key != "address":
            raise KeyError(key)
        if self._host_network:
            raise templates.TemplateError(
                f"instance {self['name']} is on its host's network and has no address of its own"
            )
        raise FactPending(f"the address of instance {self['name']}")


class _Units(dict[str, Any]):
    """The Units of the Box by name; one that the Box declares but that is not made yet is waited for."""

    def __init__(self, units: dict[str, Any], declared: Collection[str]) -> None:
        super().__init__(units)
        self._declared = declared

    def __missing__(self, key: str) -> Any:
        if key in self._declared:
            raise FactPending(f"Unit {key} to be made")
        raise KeyError(key)


def peer_of(subject: unit.Unit, *, addresses: Mapping[str, str], suffix: str = wellknown.DOMAIN) -> Peer:
    """What others may know of a Unit."""
    template = subject.spec.pod_template()
    ports = {
        port.name: port.containerPort for container in template.spec.containers for port in container.ports if port.name
    }
    return Peer(
        name=domains.short_name(subject),
        domain=domains.of_unit(subject, suffix=suffix),
        replicas=subject.spec.replicas,
        ports=ports,
        object_name=subject.metadata.name,
        addresses=addresses,
        host_network=template.spec.hostNetwork,
    )


def build(*, own: Peer, namespace: str, box: str, peers: Collection[Peer], declared: Collection[str]) -> dict[str, Any]:
    """The facts that all instances of a Unit share; `for_instance` adds what differs.

    `declared` are the names of all Units of the Box, made or not; `own` is one of `peers`.
    """
    units = {peer.name: _unit(peer) for peer in peers}
    facts: dict[str, Any] = {"unit": units.get(own.name) or _unit(own), "units": _Units(units, declared)}
    if box:
        facts["box"] = {"name": box, "namespace": namespace}
    return facts


def for_instance(shared: Mapping[str, Any], *, own: Peer, namespace: str, ordinal: int) -> dict[str, Any]:
    """The facts for one instance."""
    instance = _Member(own, ordinal)
    instance["namespace"] = namespace
    return {**shared, "instance": instance}


def render(spec: unit.UnitTemplate, facts: Mapping[str, Any]) -> Rendered:
    """Fill in a Unit's environment and files.

    Raises FactPending when something is not known yet, and RenderError when a template is wrong.
    """
    env = {name: _render(source, facts, where=f"spec.env[{name}]") for name, source in spec.env.items()}
    files = {file.path: _render(file.content, facts, where=f"spec.files[{file.path}]") for file in spec.files}
    return Rendered(env, files)


def _render(source: str, facts: Mapping[str, Any], *, where: str) -> str:
    try:
        return templates.render(source, facts)
    except templates.TemplateError as error:
        raise RenderError(where=where, cause=str(error)) from None


def _unit(peer: Peer) -> dict[str, Any]:
    return {
        "name": peer.name,
        "domain": peer.domain,
        "replicas": peer.replicas,
        "ports": dict(peer.ports),
        "members": [_Member(peer, ordinal) for ordinal in range(peer.replicas)],
    }
