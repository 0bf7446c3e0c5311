"""The drivers of this host, wired from settings: what the agent drives and what `down` takes away."""

import dataclasses
import pathlib
from collections.abc import Callable

from boxfleet.app import paths, settings
from boxfleet.drivers.cni import network as cni
from boxfleet.drivers.containerd import config as containerd_config
from boxfleet.drivers.containerd import daemon as containerd
from boxfleet.drivers.dnsmasq import server as dnsmasq


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The engines of one host."""

    engine: containerd.Daemon
    network: cni.Network
    names: dnsmasq.Server


def wire(known: settings.Agent, *, told: Callable[[str], None]) -> Host:
    """The drivers for these settings; nothing is started. `told` hears what they have to say."""
    where = paths.of(known)
    network = cni.Network(cni.Settings(folder=where.state / "network"))
    return Host(
        engine=containerd.Daemon(containerd_settings(known, network.settings), told=told),
        network=network,
        names=dnsmasq.Server(
            dnsmasq.Settings(
                folder=where.state / "names",
                pid_file=where.run / "dnsmasq.pid",
                log_file=where.logs / "dnsmasq.log",
            ),
            told=told,
        ),
    )


def containerd_settings(known: settings.Agent, network: cni.Settings) -> containerd_config.Settings:
    """Where the private containerd lives."""
    return containerd_config.Settings.below(
        state=pathlib.Path(known.state),
        run=pathlib.Path(known.run),
        cni_bin=network.bin,
        cni_conf=network.conf,
        cgroup_parent=known.cgroup_parent,
    )


def image_cache(known: settings.Agent) -> pathlib.Path:
    """Where built images are kept."""
    return pathlib.Path(known.image_cache) if known.image_cache else paths.of(known).images
