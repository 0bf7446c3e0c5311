"""Programs of Kubernetes, built from Debian's source package and kept in the user's cache."""

import contextlib
import fcntl
import os
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence

# What Debian bookworm's package `kubernetes` holds.
VERSION = "1.20.2"
# What is built. Fetching and preparing the source is half of the work, so that whatever is asked for, all that is not
# there yet is built along with it.
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kubelet")
_SCRIPT = pathlib.Path(__file__).with_name("build.sh")
_GO = pathlib.Path("/usr/lib/go-1.19/bin/go")


class BuildError(Exception):
    """The programs could not be built; the text says why."""


def folder() -> pathlib.Path:
    """Where built programs are kept."""
    return pathlib.Path.home() / ".cache" / "boxfleet" / f"kubernetes-{VERSION}"


def lacking() -> str:
    """What this machine lacks for building and running them, by name; empty when nothing."""
    names = [name for name in ("etcd", "make", "rsync", "jq", "dpkg-source") if shutil.which(name) is None]
    return ", ".join([*names, *(["go 1.19"] if not _GO.exists() else [])])


def ensure(names: Sequence[str]) -> None:
    """Build what is not there yet; of several who ask at once, one builds. Raises BuildError.

    When any of them is missing, all of `PROGRAMS` that are missing are built.
    """
    if not _missing(names):
        return
    with _locked(folder().with_name(f"{folder().name}.lock")):
        if _missing(names):
            _build(_missing(PROGRAMS))


def path(name: str) -> pathlib.Path:
    """A program that was built; raises BuildError when it was not."""
    found = folder() / name
    if not found.exists():
        raise BuildError(f"cannot run {name}: it is not in {found.parent}; mark the test with kubernetes({name!r})")
    return found


def _missing(names: Sequence[str]) -> list[str]:
    return sorted(name for name in set(names) if not (folder() / name).exists())


def _build(names: Sequence[str]) -> None:
    target = folder()
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="build-", dir=target.parent) as scratch:
        log = pathlib.Path(scratch) / "log"
        with log.open("wb") as output:
            done = subprocess.run(
                ["nice", "-n", "10", "sh", str(_SCRIPT), scratch, *names],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
            )
        if done.returncode != 0:
            words = log.read_text(errors="replace").splitlines()[-20:]
            raise BuildError("cannot build {}: the last of its words:\n{}".format(", ".join(names), "\n".join(words)))
        for name in names:
            # Whole or not at all: others look into the folder without the lock.
            (pathlib.Path(scratch) / "bin" / name).rename(target / name)


@contextlib.contextmanager
def _locked(file: pathlib.Path) -> Iterator[None]:
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
