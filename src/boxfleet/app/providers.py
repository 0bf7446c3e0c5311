"""Providers of machines for NodePools, by type."""

from collections.abc import Mapping

from boxfleet.api import node_pool
from boxfleet.app import paths, settings
from boxfleet.controllers.node_pool import joining
from boxfleet.drivers.script import provider as scripts
from boxfleet.ports import provider


def connectors(known: settings.Server) -> Mapping[node_pool.ProviderType, joining.Connect]:
    """What makes drivers on this server."""
    folder = paths.of(known).providers

    def script(pool: node_pool.NodePool, secret: Mapping[str, str], fleet: str) -> provider.Provider:
        wanted = pool.spec.provider
        return scripts.ScriptProvider(
            folder / wanted.script,
            fleet=fleet,
            pool=pool.metadata.name,
            settings=wanted.settings,
            secret=secret,
            seconds=wanted.timeoutSeconds,
        )

    return {node_pool.ProviderType.SCRIPT: script}
