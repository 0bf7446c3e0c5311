"""The tree of Boxes, Units and instances, from one that is given."""

from collections.abc import Iterable, Iterator

from boxfleet.api import cells
from boxfleet.cli import output
from boxfleet.planning import family

_GOOD = ("Ready", "Completed")


def lines(trees: Iterable[family.Tree]) -> Iterator[tuple[str, str]]:
    """Each line with its style; instances are aligned over the whole tree."""
    rows: list[tuple[str, ...]] = []
    styles: list[str] = []

    def add(label: str, status: str, *cells: str) -> None:
        rows.append((label, status, *cells, *[""] * (5 - len(cells))))
        styles.append("" if status in _GOOD or not status else "yellow")

    head = ("", "STATUS", "NODE", "ADDRESS", "AGE", "RESTARTS", "DOMAIN")
    for tree in trees:
        title = f"{tree.namespace}/{tree.name}" if tree.name else f"{tree.namespace}, no Box"
        add(title, tree.status)
        branches: list[family.Branch | family.Member] = [*tree.units, *tree.pods]
        for place, branch in enumerate(branches):
            last = place == len(branches) - 1
            stem, rail = ("└─ ", "   ") if last else ("├─ ", "│  ")
            if isinstance(branch, family.Member):
                add(stem + branch.name, branch.status, *_cells(branch))
                continue
            add(f"{stem}{branch.name} {branch.ready}/{branch.replicas}", branch.status, "", "", "", "", branch.domain)
            for number, member in enumerate(branch.members):
                twig = "└─ " if number == len(branch.members) - 1 else "├─ "
                add(rail + twig + member.name, member.status, *_cells(member))
    if rows:
        yield from zip(output.columns([head, *rows]), ["bold", *styles], strict=True)


def _cells(member: family.Member) -> tuple[str, ...]:
    return (member.node, member.address, cells.duration(member.age), str(member.restarts), member.domain)
