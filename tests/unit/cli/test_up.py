"""What `boxfleet up` answers."""

import datetime
import pathlib

import pytest

from boxfleet.app import delivery, manifests, settings
from boxfleet.cli import faults, options, up
from boxfleet.testing import server

BOX = """
apiVersion: boxfleet.dev/v1
kind: Box
metadata: {name: b}
spec: {units: {x: {template: {spec: {containers: [{name: m, image: boxfleet.local/nowhere:1}]}}}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
"""
NOW = datetime.datetime.now(datetime.UTC)


@pytest.mark.anyio
async def test_who_does_not_wait_is_told_how_it_is(tmp_path: pathlib.Path) -> None:
    (tmp_path / "box.yaml").write_text(BOX)
    bundle = manifests.read(tmp_path / "box.yaml", namespace="default")
    async with server.running(tmp_path / "server") as api:
        await delivery.apply(api.admin, bundle, say=lambda _: None)
        result = await up._look(api.admin, bundle, NOW)
    assert not result.ready and result.sites == []
    assert [(part.kind, part.name, part.level) for part in result.parts] == [("box", "default/b", "waiting")]
    wish = up.Wish(join=None, file="box.yaml", namespace="default", timeout=1, wait=False)
    assert up._code(result, wish) == 0
    assert up._code(result, up.Wish(join=None, file="", namespace="default", timeout=1, wait=True)) == 1


def test_standard_input_is_read_for_one_thing() -> None:
    join = up.Join(url="https://127.0.0.1:1", authority="sha256:0", token_file="-")
    wish = up.Wish(join=join, file="-", namespace="default", timeout=1, wait=True)
    with pytest.raises(faults.CommandFailed, match="cannot be both"):
        up.run(settings.All(), wish, options.Format.TEXT)


def test_warnings_are_beside_data_and_among_words(capsys: pytest.CaptureFixture[str]) -> None:
    up._warn(["a"], options.Format.JSON)
    up._warn(["b"], options.Format.TEXT)
    assert capsys.readouterr() == ("warning: b\n", "warning: a\n")
