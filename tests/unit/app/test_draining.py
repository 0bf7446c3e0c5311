"""Taking hosts out of work: which ones are ours to take."""

import pathlib

import pytest

from boxfleet.api import labels, meta, node
from boxfleet.app import draining
from boxfleet.testing import server

pytestmark = pytest.mark.anyio


async def test_hosts_of_others_are_left_to_them(tmp_path: pathlib.Path) -> None:
    marks = {labels.MIRRORED: "true", labels.CLUSTER: "east"}
    async with server.running(tmp_path) as api:
        await api.admin.create(node.Node(metadata=meta.ObjectMeta(name="east.a", labels=marks)))
        with pytest.raises(draining.Refused, match="boxfleet cluster cordon east"):
            await draining.mark(api.admin, "east.a", unschedulable=True)
        with pytest.raises(draining.Refused, match="only shows a host of cluster east"):
            await draining.drain(api.admin, "east.a", force=True, timeout=1, say=lambda _: None)
        with pytest.raises(draining.Refused, match="only shows a host"):
            await draining.remove(api.admin, "east.a", timeout=1)
        found = await api.admin.get(node.Node, "east.a")
        assert not found.spec.unschedulable
