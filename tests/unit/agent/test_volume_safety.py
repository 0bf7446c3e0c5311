"""What instances can do to their volumes while the agent works on them."""

import os
import pathlib
import stat

import pytest

from boxfleet.agent.volumes import manager, ownership
from boxfleet.api import meta
from boxfleet.api import pod as pods

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to groups")

_GROUP = 54321


def _mode(path: pathlib.Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_group_gets_everything_below(tmp_path: pathlib.Path) -> None:
    (tmp_path / "volume" / "inner").mkdir(parents=True)
    file = tmp_path / "volume" / "inner" / "file"
    file.write_text("x")
    file.chmod(0o600)
    ownership.give(tmp_path / "volume", _GROUP)
    assert (file.stat().st_gid, _mode(file)) == (_GROUP, 0o660)
    assert (file.parent.stat().st_gid, _mode(file.parent) & 0o2070) == (_GROUP, 0o2070)
    assert (tmp_path / "volume").stat().st_gid == _GROUP


def test_links_lead_to_nothing_outside(tmp_path: pathlib.Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o700)
    (outside / "shadow").write_text("secret")
    (outside / "shadow").chmod(0o600)
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "folder").symlink_to(outside)
    (volume / "file").symlink_to(outside / "shadow")
    ownership.give(volume, _GROUP)
    assert (_mode(outside), _mode(outside / "shadow")) == (0o700, 0o600)
    assert (outside / "shadow").stat().st_gid != _GROUP


def test_folder_exchanged_for_a_link_in_the_middle(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An instance moves a folder away, just when its content is about to be given, and puts a link in its place."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "passwd").write_text("root")
    (outside / "passwd").chmod(0o600)
    volume = tmp_path / "volume"
    (volume / "folder").mkdir(parents=True)
    (volume / "folder" / "passwd").write_text("mine")
    walk = os.fwalk

    def exchanging(*arguments: object, **options: object) -> object:
        for found in walk(*arguments, **options):  # type: ignore[arg-type, call-overload]
            if "passwd" in found[2]:
                (volume / "folder").rename(volume / "elsewhere")
                (volume / "folder").symlink_to(outside)
            yield found

    monkeypatch.setattr(os, "fwalk", exchanging)
    ownership.give(volume, _GROUP)
    assert (outside / "passwd").stat().st_gid != _GROUP
    assert _mode(outside / "passwd") == 0o600
    assert (volume / "elsewhere" / "passwd").stat().st_gid == _GROUP


def test_file_exchanged_for_a_link_in_the_middle(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = tmp_path / "passwd"
    outside.write_text("root")
    outside.chmod(0o600)
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "file").write_text("mine")
    look = os.fstat

    def exchanging(handle: int) -> os.stat_result:
        found = look(handle)
        if stat.S_ISREG(found.st_mode) and not (volume / "file").is_symlink():
            (volume / "file").rename(volume / "moved")
            (volume / "file").symlink_to(outside)
        return found

    monkeypatch.setattr(os, "fstat", exchanging)
    ownership.give(volume, _GROUP)
    monkeypatch.undo()
    assert (outside.stat().st_gid != _GROUP, _mode(outside)) == (True, 0o600)
    assert (volume / "moved").stat().st_gid == _GROUP


def test_a_hosts_file_that_an_instance_made_huge_is_not_read(tmp_path: pathlib.Path) -> None:
    def none(record: object, name: str) -> pathlib.Path:
        raise AssertionError

    volumes = manager.Volumes(tmp_path, claim_folder=none)
    pod = pods.Pod(metadata=meta.ObjectMeta(name="p", namespace="n", uid="u"))
    volumes.write_hosts(pod, ip="10.88.0.7")
    hosts = volumes.folder("u").hosts
    before, inode = hosts.read_bytes(), hosts.stat().st_ino
    with hosts.open("ab") as stream:
        stream.write(b"\xff")
        # Sparse: to read it would take more memory than there is.
        stream.truncate(1 << 42)
    volumes.write_hosts(pod, ip="10.88.0.7")
    # In place: the instance has that very file.
    assert (hosts.read_bytes(), hosts.stat().st_ino) == (before, inode)
