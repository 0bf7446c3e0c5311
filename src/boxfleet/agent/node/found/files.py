"""Small files of the kernel: a fact that cannot be read is one that is not known."""

import pathlib


def text(path: pathlib.Path) -> str:
    """The content without its ends; empty when it cannot be read."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        # Some of them answer with an error instead of being absent: the speed of a link that is down, say.
        return ""


def number(path: pathlib.Path) -> int | None:
    """The content as a decimal or 0x number; None when it is none."""
    try:
        return int(text(path), 0)
    except ValueError:
        return None


def entries(folder: pathlib.Path) -> list[pathlib.Path]:
    """What is in a folder, by name; nothing when it is not there."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def fields(path: pathlib.Path, *, separator: str = ":") -> list[dict[str, str]]:
    """Blocks of `name: value` lines with empty lines between them, as /proc/cpuinfo has one per processor."""
    blocks = []
    for block in text(path).split("\n\n"):
        pairs = (line.partition(separator) for line in block.splitlines())
        found = {name.strip(): value.strip() for name, sign, value in pairs if sign}
        if found:
            blocks.append(found)
    return blocks
