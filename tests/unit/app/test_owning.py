"""What `down` touches: a Boxfleet's own folders, and in them what Boxfleet made."""

import dataclasses
import datetime
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

import pytest

from boxfleet.app import bootstrap, lifecycle, owning, paths, settings

pytestmark = pytest.mark.anyio

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture
def home() -> Iterator[pathlib.Path]:
    # Short, since paths of sockets end at 107 characters.
    with tempfile.TemporaryDirectory(prefix="bf-own-", dir="/tmp") as made:
        yield pathlib.Path(made)


@pytest.fixture
def known(home: pathlib.Path) -> settings.All:
    """A Boxfleet that was prepared as its first start prepares it."""
    made = settings.All(state=f"{home}/state", run=f"{home}/run", node="one")
    bootstrap.prepare(made, now=NOW)
    return made


def tree(folder: pathlib.Path) -> dict[str, str]:
    """Every file below a folder with its content, and every folder."""
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else "" for path in sorted(folder.rglob("*"))
    }


def foreign_folder(home: pathlib.Path) -> pathlib.Path:
    folder = home / "papers"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "thesis.txt").write_text("important\n")
    return folder


@pytest.mark.parametrize("part", ["state", "run"])
async def test_a_folder_that_is_not_boxfleets_is_refused_and_nothing_changes(
    home: pathlib.Path, known: settings.All, part: str
) -> None:
    folder = foreign_folder(home)
    wrong = dataclasses.replace(known, **{"run": f"{home}/none", part: str(folder)})
    before = tree(home)
    for down in (lifecycle.purge, lifecycle.stop):
        with pytest.raises(
            owning.NotOursError, match=f"{folder} is no {part} folder of a Boxfleet.*\n? *-> "
        ) as caught:
            await down(wrong, say=lambda _: None)
        assert f"--{part} DIR" in str(caught.value)
    assert tree(home) == before


@pytest.mark.parametrize("names", [(), ("found.yaml",), ("packages",), ("settings.yaml", "images", "logs")])
def test_a_file_of_the_same_name_makes_no_state_folder(home: pathlib.Path, names: tuple[str, ...]) -> None:
    folder = foreign_folder(home)
    for name in names:
        (folder / name).write_text("mine\n")
    assert not owning.is_state(folder)


SIGNS = [
    ("apt.log", "packages.before"),
    ("apt.log", "packages"),
    ("joining.json",),
    ("joined.json",),
    ("store/boxfleet.db",),
    ("pki/secrets.keys",),
    ("images/busybox-2b5d761164382e84.tar",),
]


def test_what_any_first_step_leaves_is_a_state_folder(home: pathlib.Path, known: settings.All) -> None:
    assert owning.is_state(paths.of(known).state)
    for number, names in enumerate(SIGNS):
        folder = home / str(number)
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        assert owning.is_state(folder)
    paths.of(known).found.unlink()
    assert owning.is_state(paths.of(known).state)


def test_a_first_start_does_not_mix_its_files_with_those_of_others(home: pathlib.Path) -> None:
    folder = foreign_folder(home)
    wished = settings.All(state=str(folder), run=f"{home}/run", node="one")
    for name in ("registries", "agent", "lost+found"):
        (folder / name).mkdir()
    (folder / settings.FILE).write_text("port: 7999\n")
    owning.check_new(paths.of(wished))
    (folder / "images").mkdir()
    (folder / "images" / "holiday.jpg").write_text("mine\n")
    before = tree(home)
    with pytest.raises(owning.NotOursError, match=f"holds {folder}/images, .*\n.*--state DIR"):
        lifecycle.start(wished, say=lambda _: None)
    assert tree(home) == before


def test_an_empty_or_missing_folder_is_nothing_to_fail_on(home: pathlib.Path) -> None:
    where = paths.Paths(home / "state", home / "run")
    owning.check(where)
    assert owning.remove(where) == []
    where.run.mkdir()
    (where.state / "lost+found").mkdir(parents=True)
    owning.check(where)


def test_what_others_put_beside_stays_and_is_named(known: settings.All) -> None:
    where = paths.of(known)
    thesis, notes = where.state / "sub" / "thesis.txt", where.run / "notes"
    thesis.parent.mkdir()
    thesis.write_text("important\n")
    notes.write_text("mine\n")
    owning.check(where)
    assert owning.remove(where) == [notes, thesis.parent]
    assert tree(where.state) == {"sub": "", "sub/thesis.txt": "important\n"}
    assert tree(where.run) == {"notes": "mine\n"}


def test_nothing_is_left_where_only_boxfleet_was(known: settings.All) -> None:
    where = paths.of(known)
    # Written in place of a file when the power went.
    (where.state / ".settings.yaml.0a1b2c3d").write_text("")
    assert owning.remove(where) == []
    assert not where.state.exists() and not where.run.exists()


def test_a_purge_that_was_cut_off_can_be_done_again(known: settings.All, monkeypatch: pytest.MonkeyPatch) -> None:
    where = paths.of(known)
    for name in ("apt.log", "packages"):
        (where.state / name).touch()
    removing = owning._remove
    while where.state.exists():
        assert owning.is_state(where.state)
        owning.check(where)
        done: list[pathlib.Path] = []

        def once(path: pathlib.Path, done: list[pathlib.Path] = done) -> None:
            if done:
                raise KeyboardInterrupt
            done.append(path)
            removing(path)

        monkeypatch.setattr(owning, "_remove", once)
        try:
            owning.remove(where)
        except KeyboardInterrupt:
            continue


def test_a_link_to_the_state_folder_stays_as_an_empty_place(home: pathlib.Path, known: settings.All) -> None:
    link = home / "link"
    link.symlink_to(known.state)
    where = paths.Paths(link, pathlib.Path(known.run))
    owning.check(where)
    assert owning.remove(where) == []
    assert link.is_symlink() and list(pathlib.Path(known.state).iterdir()) == []


async def test_the_run_folder_of_another_boxfleet_is_left_alone(home: pathlib.Path, known: settings.All) -> None:
    before = tree(home)
    # One that never was, and one with a state of its own.
    second = dataclasses.replace(known, state=f"{home}/second", run=f"{home}/second-run")
    bootstrap.prepare(second, now=NOW)
    for state in (f"{home}/other", second.state):
        other = dataclasses.replace(known, state=state)
        for down in (lifecycle.purge, lifecycle.stop):
            with pytest.raises(owning.NotOursError, match=f"{known.run} belongs to the Boxfleet.*{known.state}"):
                await down(other, say=lambda _: None)
        with pytest.raises(owning.NotOursError, match="--run DIR"):
            lifecycle.start(other, say=lambda _: None)
    assert {name: text for name, text in tree(home).items() if not name.startswith("second")} == before
    owning.check(paths.of(known))


def test_a_state_folder_that_was_moved_has_its_run_folder_still(home: pathlib.Path, known: settings.All) -> None:
    moved = pathlib.Path(known.state).rename(home / "moved")
    owning.check(paths.Paths(moved, pathlib.Path(known.run)))


def test_usual_names_are_those_of_the_usual_folder(home: pathlib.Path) -> None:
    usual = settings.All(state=settings.Instance().state)
    other = settings.All(state=f"{home}/state", bridge="other0")
    assert owning.is_named_for(usual, "bridge") and owning.is_named_for(usual, "cgroup_parent")
    assert owning.is_named_for(other, "bridge") and not owning.is_named_for(other, "cgroup_parent")


def test_a_state_is_lost_when_there_is_nothing_of_it(home: pathlib.Path, known: settings.All) -> None:
    assert not owning.is_lost(paths.of(known))
    (home / "empty").mkdir()
    assert owning.is_lost(paths.Paths(home / "empty", home / "run"))
    assert owning.is_lost(paths.Paths(home / "nowhere", home / "run"))


def test_what_is_mounted_in_a_moved_state_folder_is_unmounted(home: pathlib.Path, known: settings.All) -> None:
    volume = pathlib.Path(known.state) / "agent" / "pods" / "u" / "volumes" / "a b"
    volume.mkdir(parents=True)
    tried = subprocess.run(["mount", "-t", "tmpfs", "none", str(volume)], capture_output=True, check=False)
    if tried.returncode != 0:
        pytest.skip("only root mounts")
    moved = pathlib.Path(known.state).rename(home / "moved")
    try:
        assert owning.unmount_moved(paths.Paths(home / "another", home / "run")) == []
        assert owning.unmount_moved(paths.of(known)) == [moved]
        shutil.rmtree(moved)
    finally:
        subprocess.run(
            ["umount", str(home / "moved" / volume.relative_to(known.state))], capture_output=True, check=False
        )
