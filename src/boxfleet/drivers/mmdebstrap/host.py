"""What this machine knows of Debian: its suite, architecture, package sources and apt settings."""

import asyncio
import dataclasses
import email.utils
import pathlib
import re
import shutil

from boxfleet.drivers.mmdebstrap import faults

OS_RELEASE = pathlib.Path("/etc/os-release")
APT = pathlib.Path("/etc/apt")

# How this machine reaches its mirrors; a build must reach them the same way.
_ACQUIRE = re.compile(r"Acquire::(Check-Valid-Until|Check-Date|Retries|ForceIPv[46]|https?|ftp|tor)\b.*", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Package sources of one suite, in apt's two notations; either may be empty."""

    one_line: str = ""
    deb822: str = ""


def suite() -> str:
    """The code name of the machine's own release."""
    try:
        text = OS_RELEASE.read_text()
    except OSError:
        text = ""
    match = re.search(r"^VERSION_CODENAME=\"?([a-z][a-z0-9-]*)", text, re.MULTILINE)
    if match is None:
        raise faults.BuildError(
            f"cannot tell this machine's Debian release from {OS_RELEASE}: set `suite` in the recipe, such as bookworm"
        )
    return match[1]


async def architecture() -> str:
    """Debian's name of the machine's architecture, such as amd64."""
    return (await _output("dpkg", "--print-architecture")).strip()


async def acquire_settings() -> str:
    """The machine's apt settings about fetching (proxy, retries, date checks), as apt configuration."""
    lines = (await _output("apt-config", "dump")).splitlines()
    return "".join(f"{line}\n" for line in lines if _ACQUIRE.match(line) and not line.endswith('"";'))


def sources(wanted: str) -> Sources:
    """The machine's package sources of a suite and its updates."""
    folder = APT / "sources.list.d"
    lists = [APT / "sources.list", *sorted(folder.glob("*.list"))]
    one_line = select_lines("\n".join(path.read_text() for path in lists if path.is_file()), wanted)
    deb822 = select_stanzas("\n\n".join(path.read_text() for path in sorted(folder.glob("*.sources"))), wanted)
    if not one_line and not deb822:
        raise faults.BuildError(
            f"this machine has no package source for suite {wanted}: add one under {folder}, or name another suite"
        )
    return Sources(one_line=one_line, deb822=deb822)


def select_lines(text: str, wanted: str) -> str:
    """The ``deb`` lines of a suite, its updates and its security fixes."""
    chosen = []
    for line in text.splitlines():
        words = re.sub(r"\[.*?\]", "", line.split("#", 1)[0]).split()
        if len(words) >= 3 and words[0] == "deb" and _belongs(words[2], wanted):
            chosen.append(line.strip())
    return "".join(f"{line}\n" for line in chosen)


def select_stanzas(text: str, wanted: str) -> str:
    """The enabled binary stanzas of a suite, its updates and its security fixes."""
    chosen = []
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if line.strip() and not line.startswith("#")]
        fields = {
            name.strip().lower(): value.split()
            for name, colon, value in (line.partition(":") for line in lines if not line[:1].isspace())
            if colon
        }
        if "deb" not in fields.get("types", []) or fields.get("enabled", ["yes"])[0].lower() in ("no", "false"):
            continue
        suites = [name for name in fields.get("suites", []) if _belongs(name, wanted)]
        if not suites:
            continue
        chosen.append(
            "\n".join(
                "Types: deb"
                if line.lower().startswith("types:")
                else f"Suites: {' '.join(suites)}"
                if line.lower().startswith("suites:")
                else line
                for line in lines
            )
        )
    return "".join(f"{stanza}\n\n" for stanza in chosen)


async def stage(wanted: str, *, folder: pathlib.Path) -> list[pathlib.Path]:
    """Write the machine's sources of a suite and its way to reach them below `folder`; the files with the sources."""
    parts = folder / "parts"
    parts.mkdir(parents=True)
    found = sources(wanted)
    (folder / "apt.conf").write_text(await acquire_settings())
    texts = {parts / "machine.list": found.one_line, parts / "machine.sources": found.deb822}
    for path, text in texts.items():
        if text:
            path.write_text(text)
    return [path for path, text in texts.items() if text]


async def releases(*, folder: pathlib.Path) -> dict[str, int]:
    """When each archive of staged sources was last released, in seconds since the epoch, by suite.

    Fetches the archives' Release files alone; the machine's own package lists are left as they are.
    """
    lists = folder / "lists"
    (lists / "partial").mkdir(parents=True)
    (folder / "cache").mkdir()
    process = await asyncio.create_subprocess_exec(
        *("apt-get", "update", "--quiet", "--option", f"Dir::State::lists={lists}"),
        *("--option", f"Dir::Cache={folder / 'cache'}", "--option", "Dir::Etc::sourcelist=/dev/null"),
        *("--option", f"Dir::Etc::sourceparts={folder / 'parts'}"),
        *("--option", "Acquire::IndexTargets::deb::Packages::DefaultEnabled=false"),
        *("--option", "Acquire::IndexTargets::deb::Translations::DefaultEnabled=false"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    dates = read_dates(lists)
    if process.returncode or not dates:
        told = [line for line in output.decode(errors="replace").splitlines() if line.startswith(("E:", "W:", "Err:"))]
        raise faults.BuildError(
            "cannot reach this machine's package sources (try `apt-get update`):\n" + "\n".join(told[-5:])
        )
    return dates


def read_dates(lists: pathlib.Path) -> dict[str, int]:
    """The dates in the Release files of apt's lists folder, the newest per suite."""
    dates: dict[str, int] = {}
    for path in sorted(lists.glob("*Release")):
        text = path.read_text(errors="replace")
        name = re.search(r"^Codename: (\S+)$", text, re.MULTILINE)
        date = re.search(r"^Date: (.*)$", text, re.MULTILINE)
        if name and date:
            moment = int(email.utils.parsedate_to_datetime(date[1]).timestamp())
            dates[name[1]] = max(moment, dates.get(name[1], 0))
    return dates


def missing_tools() -> list[str]:
    """Commands a build needs that this machine lacks."""
    needed = ("mmdebstrap", "apt-get", "tar", "unshare", "setpriv", "chroot", "zstd")
    return [tool for tool in needed if not shutil.which(tool)]


def _belongs(name: str, wanted: str) -> bool:
    """Whether a suite's name is the wanted one, its updates or its security fixes, in old and new notation."""
    base = name.rstrip("/")
    return base in (wanted, f"{wanted}-updates", f"{wanted}-security", f"{wanted}/updates")


async def _output(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    stdout, _ = await process.communicate()
    if process.returncode:
        raise faults.BuildError(f"`{' '.join(command)}` failed with exit code {process.returncode}")
    return stdout.decode()
