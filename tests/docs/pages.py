"""Pages of documentation as what can be run: their commands, and the output that they promise.

Of a page run: every block marked ``console``, whose lines after ``$`` are commands and whose other lines are their
output; and every ``sh`` block with ``<!-- run -->`` before it. ``<!-- exit 1 -->`` before a block says how its last
command ends. In the output, ``...`` stands for any lines when it is alone on a line, and for the rest of the line
at the end of one; what differs from run to run (ages, sizes, addresses, times, process ids, fingerprints) counts by
its form only.
"""

import dataclasses
import pathlib
import re
from collections.abc import Iterator, Mapping

REPOSITORY = pathlib.Path(__file__).parents[2]
_BLOCK = re.compile(
    r"(?:^<!-- (?P<note>run|exit \d+) -->\n+)?^```(?P<language>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
ADDRESS = re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b")
# What differs from run to run, most telling first.
_VARYING = (
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ][\d:.]+Z?"), "<time>"),
    (ADDRESS, "<address>"),
    (re.compile(r"(?<=: )[\w-]{40,}$"), "<token>"),
    (re.compile(r"\b[0-9a-f]{10,64}\b"), "<fingerprint>"),
    (re.compile(r"\b(?:\d+(?:\.\d+)?(?:[dhms]|ms|[kKMG]i?B?))+\b"), "<amount>"),
    (re.compile(r"\b\d+(?:\.\d+)? (?:[kMG]i?B|B|s)\b"), "<amount>"),
    (re.compile(r"\bprocess \d+"), "process <id>"),
    (re.compile(r"\s+"), " "),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block: its language, its text, and the note above it."""

    language: str
    body: str
    note: str
    line: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """One command, how it ends, and what it says (None: not compared)."""

    command: str
    exit_code: int
    output: list[str] | None
    line: int


def every() -> list[pathlib.Path]:
    """All pages of the repository that are under its own care."""
    hidden = {".venv", ".git", ".pytest_cache", "node_modules"}
    return sorted(path for path in REPOSITORY.rglob("*.md") if not hidden & set(path.relative_to(REPOSITORY).parts))


def blocks(text: str) -> list[Block]:
    """All fenced blocks of a page."""
    return [
        Block(
            language=found["language"],
            body=found["body"],
            note=found["note"] or "",
            line=text.count("\n", 0, found.start("body")) + 1,
        )
        for found in _BLOCK.finditer(text)
    ]


def steps(text: str) -> list[Step]:
    """What of a page runs, in order."""
    return [step for block in blocks(text) for step in _steps(block)]


def _steps(block: Block) -> Iterator[Step]:
    if block.language == "sh" and block.note == "run":
        yield Step(command=block.body, exit_code=0, output=None, line=block.line)
    if block.language != "console":
        return
    parts: list[tuple[str, list[str], int]] = []
    for number, line in enumerate(block.body.splitlines(), start=block.line):
        if line.startswith("$ "):
            parts.append((line[2:], [], number))
        elif parts:
            parts[-1][1].append(line)
    for index, (command, output, number) in enumerate(parts, start=1):
        code = int(block.note.removeprefix("exit ")) if index == len(parts) and block.note.startswith("exit") else 0
        yield Step(command=command, exit_code=code, output=output, line=number)


def plain(line: str) -> str:
    """A line without what differs from run to run."""
    for pattern, name in _VARYING:
        line = pattern.sub(name if name != " " else " ", line)
    return line.strip()


def match(wanted: list[str], got: list[str]) -> list[tuple[str, str]] | None:
    """Pairs of lines, promised and said, when the output is as promised; None when it is not."""
    wanted, got = _trimmed(wanted), _trimmed(got)
    if not wanted:
        return [] if not got else None
    if wanted[0].strip() == "...":
        for skipped in range(len(got) + 1):
            rest = match(wanted[1:], got[skipped:]) if wanted[1:] else []
            if rest is not None:
                return rest
        return None
    if not got or not _same(wanted[0], got[0]):
        return None
    rest = match(wanted[1:], got[1:])
    return None if rest is None else [(wanted[0], got[0]), *rest]


def _same(wanted: str, got: str) -> bool:
    if wanted.endswith("..."):
        return plain(got).startswith(plain(wanted.removesuffix("...")))
    return plain(wanted) == plain(got)


def _trimmed(lines: list[str]) -> list[str]:
    """Without empty lines at the end."""
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return lines


def learn(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """The addresses of a page by those of this run."""
    return {
        wrote: is_now
        for promised, said in pairs
        for wrote, is_now in zip(ADDRESS.findall(promised), ADDRESS.findall(said), strict=False)
        if not wrote.startswith("127.")
    }


def localized(command: str, addresses: Mapping[str, str], folders: Mapping[str, str]) -> str:
    """A command of a page with the folders and addresses of this run."""
    for wrote, is_now in folders.items():
        command = re.sub(rf"{re.escape(wrote)}(?![\w-])", is_now, command)
    return ADDRESS.sub(lambda found: addresses.get(found[0], found[0]), command)
