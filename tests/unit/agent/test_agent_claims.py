"""Folders of claims and the notes beside them."""

import pathlib

import pytest

from boxfleet.agent import claims
from boxfleet.api import volume_claim
from boxfleet.testing import server

pytestmark = pytest.mark.anyio


async def test_names_of_claims_never_collide_with_notes(tmp_path: pathlib.Path) -> None:
    async with server.running(tmp_path) as api:
        root = tmp_path / "volumes"
        root.mkdir()
        given = claims.Claims(api.admin, root=root, node=server.NODE, in_use=lambda _: False)
        for name in ("a", "a.json", "a.json.json"):
            raw = {
                "metadata": {"name": name, "namespace": "default"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
            }
            claim = await given.bind(await api.admin.create_raw(volume_claim.PersistentVolumeClaim, raw))
            assert claim.status.phase == "Bound"
        assert sorted(path.name for path in root.iterdir() if path.is_dir()) == [
            "default_a",
            "default_a.json",
            "default_a.json.json",
        ]
