"""Files that are whole or not there."""

import pathlib

import pytest

from boxfleet.kit import durable


def test_a_file_is_replaced(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "file"
    durable.write(file, b"one")
    durable.write(file, b"two", mode=0o600)
    assert file.read_bytes() == b"two"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_a_failure_leaves_the_old_file(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(IsADirectoryError):
        durable.write(folder, b"x")
    assert list(tmp_path.iterdir()) == [folder]
