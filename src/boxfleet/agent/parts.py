"""What every pod worker is given."""

import asyncio
import dataclasses

from boxfleet.agent import claims, fencing, network, observer, pulls, settings, sources, status, wanted
from boxfleet.agent.node import facts as node_facts
from boxfleet.agent.volumes import manager
from boxfleet.client import client, events
from boxfleet.kit import clock as clocks
from boxfleet.planning import pod_runtime
from boxfleet.ports import network as network_ports
from boxfleet.ports import runtime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The shared parts of one agent."""

    settings: settings.Settings
    api: client.Client
    engine: runtime.Runtime
    host_network: network_ports.HostNetwork
    clock: clocks.Clock
    wanted: wanted.Wanted
    observer: observer.Observer
    sources: sources.Sources
    claims: claims.Claims
    fence: fencing.Fence
    volumes: manager.Volumes
    pulls: pulls.Pulls
    network: network.Upkeep
    reporter: status.Reporter
    recorder: events.Recorder
    starts: asyncio.Semaphore
    machine: node_facts.Machine
    host_resolver: pod_runtime.Resolver
