"""An order with its objects read, and what there is to know about the engine."""

import msgspec

from boxfleet.api import config, labels
from boxfleet.api import pod as pods
from boxfleet.planning import environment
from boxfleet.ports import cluster

# The API gives each Pod a volume of this name for a way to the API; no engine of others has one.
_OWN_API = "kube-api-access-"


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """What decisions need to know of an engine."""

    fleet: str
    # The suffix of domain names.
    domain: str
    network: str
    # The network's own addresses, where they were chosen by whoever made it, and the engine's among them.
    subnets: tuple[str, ...] = ()
    gateway: str = ""
    # Whether its containers' addresses can be reached from here.
    reachable: bool = False
    # Whether it runs on this machine.
    local: bool = False
    architecture: str = "x86_64"
    swap_limit: bool = True
    # Millionths of a core would be too fine: thousandths, and bytes.
    cpu: int = 0
    memory: int = 0


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """One wanted instance."""

    pod: pods.Pod
    ordinal: int
    share: cluster.Share
    config_maps: dict[str, config.ConfigMap] = {}
    secrets: dict[str, config.Secret] = {}

    @property
    def address(self) -> str:
        """The address that the ledger has for it; empty when there is none."""
        return self.pod.metadata.annotations.get(labels.ADDRESS, "")

    def facts(self, engine: Engine, *, pod_ip: str) -> environment.Facts:
        """What references in its environment and files may name."""
        return environment.Facts(
            pod=self.pod,
            pod_ip=pod_ip,
            host_ip=engine.gateway,
            config_maps=self.config_maps,
            secrets=self.secrets,
            allocatable={"cpu": f"{engine.cpu}m", "memory": str(engine.memory)},
        )


def read(share: cluster.Share, ordinal: int) -> Given:
    """The order for one of a share's ordinals."""
    order = share.orders[ordinal]
    pod = msgspec.convert(order.pod, pods.Pod)
    # What leads to our own API leads nowhere from there.
    pod.spec.volumes = [one for one in pod.spec.volumes if not one.name.startswith(_OWN_API)]
    for container in pod.spec.every_container:
        container.volumeMounts = [one for one in container.volumeMounts if not one.name.startswith(_OWN_API)]
    return Given(
        pod=pod,
        ordinal=ordinal,
        share=share,
        config_maps={name: msgspec.convert(one, config.ConfigMap) for name, one in order.config_maps.items()},
        secrets={name: msgspec.convert(one, config.Secret) for name, one in order.secrets.items()},
    )
