"""One run of mmdebstrap: a root file system as a tar archive, with progress and without leftovers."""

import asyncio
import collections
import contextlib
import errno
import importlib.resources
import os
import pathlib
import re
import shlex
from collections.abc import Callable

from boxfleet.api import recipe
from boxfleet.drivers.mmdebstrap import faults, source

Progress = Callable[[str], None]

# Lines of output kept for the error message.
_KEPT = 200
_SHOWN = 12
_STEP = re.compile(r"I: (.*?)(?:\.\.\.)?$")
_NEWLY = re.compile(r"\d+ upgraded, (\d+) newly installed")
_SIZE = re.compile(r"Need to get ([\d.,]+ ?k?[MG]?B)")
_SETTING_UP = re.compile(r"Setting up (\S+)")
# mmdebstrap's steps that say something to people.
_STEPS = {
    "running apt-get update": "fetching package lists",
    "downloading packages with apt": "downloading packages",
    "extracting archives": "unpacking essential packages",
    "installing essential packages": "setting up essential packages",
    "installing remaining packages inside the chroot": "installing the recipe's packages",
    "creating tarball": "writing the layer",
}
_MERGED_USR = "/usr/share/mmdebstrap/hooks/maybe-merged-usr"
# Half of the packages' space, and never read in a container.
_EXCLUDED = (
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-include=/usr/share/locale/locale.alias",
    "path-exclude=/usr/share/lintian/*",
    "path-exclude=/usr/share/bug/*",
    "path-exclude=/usr/share/doc-base/*",
    # Nothing is lost with a build that is cut off.
    "force-unsafe-io",
)


class Reporter:
    """Turns mmdebstrap's output into few lines for people, and keeps the last ones for an error."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._total = 0
        self._done = 0
        self.lines: collections.deque[str] = collections.deque(maxlen=_KEPT)

    def feed(self, line: str) -> None:
        """Take in one line of output."""
        self.lines.append(line)
        newly = _NEWLY.search(line)
        if newly:
            self._total += int(newly[1])
            return
        size = _SIZE.search(line)
        if size:
            self._progress(f"{self._total} packages, {size[1]} to fetch")
            return
        if _SETTING_UP.match(line):
            self._done += 1
            if self._done % 25 == 0:
                self._progress(f"{self._done} packages set up")
            return
        step = _STEP.fullmatch(line)
        if step:
            text = step[1]
            if text in _STEPS:
                self._progress(_STEPS[text])
            elif text.startswith("running command "):
                self._progress(text)

    def cause(self) -> str:
        """The lines that tell why it failed."""
        telling = [line for line in self.lines if line.strip() and not line.startswith(("I: ", "Setting up "))]
        return "\n".join(telling[-_SHOWN:])


async def run(
    wanted: source.Source,
    *,
    suite: str,
    source_date: int,
    apt_conf: pathlib.Path,
    sources: list[pathlib.Path],
    work: pathlib.Path,
    progress: Progress,
) -> pathlib.Path:
    """Make the root file system below `work`, a folder of this build alone; the path of its tar archive.

    All mounts are made in a mount namespace of their own, and all processes in a PID namespace that dies with
    this process or on cancellation, so that nothing stays but files below `work`.
    """
    stage = work / "stage"
    temporary = work / "tmp"
    layer = work / "layer.tar"
    _stage(wanted, stage=stage)
    temporary.mkdir()
    command = [
        *_command(wanted, hook=stage / "hook", apt_conf=apt_conf),
        *(suite, str(layer), *(str(path) for path in sources)),
    ]
    environment = {
        "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        "LC_ALL": "C.UTF-8",
        "TMPDIR": str(temporary),
        "SOURCE_DATE_EPOCH": str(source_date),
        "DEBIAN_FRONTEND": "noninteractive",
    }
    reporter = Reporter(progress)
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
        limit=1 << 20,
    )
    try:
        assert process.stdout is not None
        async for line in process.stdout:
            reporter.feed(line.decode(errors="replace").rstrip())
        code = await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())
    if code != 0:
        cause = reporter.cause()
        if os.strerror(errno.ENOSPC) in "\n".join(reporter.lines):
            raise faults.BuildError(
                f"cannot build {wanted.recipe.reference}: no space left below {work}: "
                "free about 2 GB there or choose another cache folder"
            )
        raise faults.BuildError(f"cannot build {wanted.recipe.reference}: mmdebstrap failed:\n{cause}")
    return layer


def _stage(wanted: source.Source, *, stage: pathlib.Path) -> None:
    """Lay out the finishing hook and what it reads."""
    stage.mkdir(parents=True)
    lines = [importlib.resources.files(__package__).joinpath("finish.sh").read_text()]
    for index, (file, content) in enumerate(zip(wanted.recipe.files, wanted.contents, strict=True)):
        (stage / f"file-{index}").write_bytes(content)
        folder, _, name = file.path.rpartition("/")
        lines.append(shlex.join(["place", str(index), file.mode, file.owner, folder, name]))
    for index, script in enumerate(wanted.recipe.run):
        (stage / f"run-{index}").write_text(script)
        lines.append(f"run {index}")
    lines.append("finish\n")
    hook = stage / "hook"
    hook.write_text("\n".join(lines))
    hook.chmod(0o755)


def _command(wanted: source.Source, *, hook: pathlib.Path, apt_conf: pathlib.Path) -> list[str]:
    extract = wanted.recipe.variant is recipe.Variant.EXTRACT
    return [
        # Dies with this process, however that ends.
        *("setpriv", "--pdeathsig", "KILL"),
        *("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"),
        *("mmdebstrap", "--mode=root", "--verbose", "--format=tar", f"--variant={wanted.recipe.variant}"),
        f"--aptopt={apt_conf}",
        # Spares the packages that would merge /bin into /usr afterwards: Perl and a fifth of the time.
        *([] if extract else [f"--hook-dir={_MERGED_USR}"]),
        # Some maintainer scripts put links into folders that the exclusions below keep from being made.
        '--essential-hook=mkdir -p "$1/usr/share/man/man1" "$1/usr/share/man/man7"',
        *(f"--dpkgopt={option}" for option in _EXCLUDED),
        *(f"--include={package}" for package in wanted.recipe.packages),
        # Where nothing is set up, extraction is the last step that has hooks.
        f'--{"extract" if extract else "customize"}-hook={shlex.quote(str(hook))} "$1"',
    ]
