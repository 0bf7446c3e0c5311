"""Machines by a script: what every provider does, and what a script may not do."""

import os
import pathlib
import sys
from typing import Any

import msgspec
import pytest

from boxfleet.drivers.script import provider as driver
from boxfleet.ports import provider
from boxfleet.testing.conformance import provider as suite

# A cloud in a folder: a file per machine.
_CLOUD = """#!{python} -IS
import fcntl, json, os, pathlib, sys, time
verb, told = sys.argv[1], json.load(sys.stdin)
folder = pathlib.Path(told["settings"]["folder"])
lock = open(folder / "lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
if (folder / "silent").exists():
    time.sleep(60)
mark = {{"fleet": told["fleet"], "pool": told["pool"]}}
files = sorted(folder.glob("*.json"))
if verb == "list":
    print(json.dumps({{"machines": [json.loads(one.read_text()) for one in files]}}))
    sys.exit()
path = folder / (told["name"] + ".json")
known = json.loads(path.read_text()) if path.exists() else None
ours = known is None or all(known[key] == value for key, value in mark.items())
if verb == "delete":
    if known and ours:
        path.unlink()
    sys.exit()
if not ours or (folder / "refuse").exists():
    print("not this one", file=sys.stderr)
    sys.exit(11)
if known is None:
    if (folder / "sold-out").exists():
        sys.exit(10)
    known = mark | {{"name": told["name"], "id": "vm-" + told["name"]}}
    path.write_text(json.dumps(known))
print(json.dumps(known))
"""


def write(path: pathlib.Path, text: str) -> pathlib.Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def made(path: pathlib.Path, folder: pathlib.Path, **more: Any) -> driver.ScriptProvider:
    given = {"fleet": "f", "pool": "p", "secret": {"key": "hush"}, "seconds": 20.0, "owner": os.getuid()} | more
    return driver.ScriptProvider(path, settings={"folder": str(folder)}, **given)


class TestScriptProvider(suite.ProviderConformance):
    @pytest.fixture
    def bed(self, tmp_path: pathlib.Path) -> suite.ProviderBed:
        path = write(tmp_path / "scripts" / "cloud", _CLOUD.format(python=sys.executable))
        folder = tmp_path / "cloud"
        folder.mkdir()
        own = made(path, folder)

        def silence() -> None:
            folder.joinpath("silent").touch()
            own._seconds = 0.3

        return suite.ProviderBed(
            driver=own,
            again=lambda: made(path, folder),
            stranger=lambda: made(path, folder, fleet="other"),
            neighbour=lambda: made(path, folder, pool="other"),
            sell_out=folder.joinpath("sold-out").touch,
            refuse=folder.joinpath("refuse").touch,
            silence=silence,
        )


@pytest.mark.anyio
async def test_secrets_are_in_no_argument_and_the_environment_is_clean(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOXFLEET_HIDDEN", "x")
    words = f"tr '\\0' ' ' </proc/$$/cmdline >{tmp_path}/words"
    text = f"#!/bin/sh\n{words}\nenv >{tmp_path}/env\ncat >{tmp_path}/in\necho {{}}\n"
    await made(write(tmp_path / "s" / "look", text), tmp_path).create(suite.order("p-1"))
    assert tmp_path.joinpath("words").read_text().split()[1:] == [str(tmp_path / "s" / "look"), "create"]
    assert {line.partition("=")[0] for line in tmp_path.joinpath("env").read_text().splitlines()} <= {
        "PATH", "LANG", "PWD", "OLDPWD", "SHLVL", "_",
    }  # fmt: skip
    told = msgspec.json.decode(tmp_path.joinpath("in").read_bytes())
    assert (told["name"], told["secret"], told["join"]["token"]) == ("p-1", {"key": "hush"}, "abc123.secret")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "fault", "words"),
    [
        ("exit 10", provider.SoldOut, "ended with 10"),
        ("echo 'no such type' >&2; exit 11", provider.Refused, "no such type"),
        ("echo later >&2; exit 12", provider.Unreachable, "later"),
        ("sleep 60 & echo '{\"machines\": 1}'", provider.Unreachable, "cannot be read"),
        ("exit 1", provider.Unreachable, "ended with 1"),
        ("kill -9 $$", provider.Unreachable, "ended with -9"),
        ("echo nonsense", provider.Unreachable, "cannot be read"),
        ("echo '{\"machines\": [{}]}'", provider.Unreachable, "cannot be read"),
        ("head -c 5000000 /dev/zero", provider.Unreachable, "says more than 4 MiB"),
        ("sleep 60", provider.Unreachable, "takes more than"),
        ("setsid sleep 3 & exec sleep 60", provider.Unreachable, "takes more than"),
    ],
)
async def test_what_a_script_does_wrong_is_told(
    tmp_path: pathlib.Path, body: str, fault: type[Exception], words: str
) -> None:
    path = write(tmp_path / "s" / "cloud", f"#!/bin/sh\n{body}\n")
    seconds = 0.5 if body.endswith("sleep 60") else 20.0
    with pytest.raises(fault, match=words):
        await made(path, tmp_path, seconds=seconds).list()


@pytest.mark.anyio
async def test_only_what_nobody_else_can_write_is_run(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "s" / "cloud", "#!/bin/sh\necho '{\"machines\": []}'\n")
    assert await made(path, tmp_path).list() == []
    for spoil, words in (
        (lambda: path.chmod(0o775), "can be written by others"),
        (lambda: path.chmod(0o644), "is not executable"),
        (lambda: path.parent.chmod(0o777), "can be written by others"),
        (lambda: (path.parent.chmod(0o755), path.unlink(), path.symlink_to("/bin/true")), "no plain file"),
        (path.unlink, "No such file"),
    ):
        spoil()
        with pytest.raises(provider.Refused, match=words):
            await made(path, tmp_path).list()
        if path.exists() and not path.is_symlink():
            path.chmod(0o755)
            path.parent.chmod(0o755)
    path = write(tmp_path / "s" / "other", "#!/bin/sh\n")
    with pytest.raises(provider.Refused, match="belongs to user"):
        await made(path, tmp_path, owner=os.getuid() + 1).list()
