"""What every benchmark shares: how it is found and run, and how its results are shown.

A benchmark is a module of this folder with a docstring whose first line says what it measures, and

    async def run(bench: harness.Bench) -> None: ...

which calls `bench.metric(...)` for each figure. `./run bench NAME` prints a table; with ``--json`` one JSON object with
name, date, machine and metrics, each with value, unit, target and peer's value. ``--save`` keeps that object in
results/NAME-YYYY-MM-DD.json beside this module. No figure makes it fail: it measures.
"""

import argparse
import ast
import asyncio
import datetime
import importlib
import json
import math
import os
import pathlib
import platform
import re
import statistics
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

FOLDER = pathlib.Path(__file__).parent


class Bench:
    """Collects the figures of one benchmark. Progress goes to standard error."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.metrics: list[dict[str, Any]] = []

    def metric(
        self, name: str, value: float, unit: str, *, target: float | None = None, peer: float | None = None
    ) -> None:
        """One figure; `target` is what the project wants, `peer` what another system reached."""
        if not math.isfinite(value):
            raise ValueError(f"benchmark {self.name}: {name} is {value}: a figure must be a finite number")
        self.metrics.append({"name": name, "value": value, "unit": unit, "target": target, "peer": peer})

    def samples(
        self, name: str, values: Sequence[float], unit: str, *, target: float | None = None, peer: float | None = None
    ) -> None:
        """Several measurements of one thing: their median and their 99th percentile."""
        ordered = sorted(values)
        self.metric(f"{name}, median", statistics.median(ordered), unit, target=target, peer=peer)
        if len(ordered) >= 10:
            self.metric(f"{name}, p99", ordered[min(len(ordered) - 1, math.ceil(len(ordered) * 0.99) - 1)], unit)

    def say(self, words: str) -> None:
        """Tell whoever waits what happens now."""
        print(f"{self.name}: {words}", file=sys.stderr, flush=True)


def benchmarks() -> dict[str, str]:
    """Every benchmark by name, with the first line of its docstring; nothing is imported."""
    found = {}
    for path in sorted(FOLDER.glob("*.py")):
        tree = ast.parse(path.read_text())
        runs = any(isinstance(node, ast.AsyncFunctionDef) and node.name == "run" for node in tree.body)
        if runs and path.name != "harness.py":
            found[path.stem] = (ast.get_docstring(tree) or "").partition("\n")[0]
    return found


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    cpu = re.search(r"^model name\s*:\s*(.+)", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.MULTILINE)
    return {
        "cpu": cpu[1] if cpu else platform.machine(),
        "cores": os.cpu_count() or 1,
        "memory_gib": round(int(memory[1]) / 2**20, 1) if memory else 0,
        "kernel": platform.release(),
        "python": platform.python_version(),
        # What else it does: processes that wanted to run in the last minute.
        "load": round(os.getloadavg()[0], 1),
    }


def table(result: dict[str, Any]) -> str:
    """The figures for people."""
    facts = result["machine"]
    head = (
        f"{result['name']}  ({result['date']}, {facts['cores']} cores, {facts['cpu']}, kernel {facts['kernel']}, "
        f"load {facts['load']:g} before)"
    )
    rows = [("", "value", "unit", "target", "peer")]
    rows += [
        (one["name"], _number(one["value"]), one["unit"], _number(one["target"]), _number(one["peer"]))
        for one in result["metrics"]
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [head]
    for row in rows:
        cells = [
            cell.ljust(width) if column in (0, 2) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def measure(name: str, run: Callable[[Bench], Awaitable[None]]) -> dict[str, Any]:
    """Run one benchmark to its end; its result."""
    bench = Bench(name)

    async def whole() -> None:
        await run(bench)

    date, facts = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), machine()
    asyncio.run(whole())
    return {"name": name, "date": date, "machine": facts, "metrics": bench.metrics}


def save(result: dict[str, Any], *, folder: pathlib.Path) -> pathlib.Path:
    """Keep a result among the recorded ones; of one day the last stays."""
    path = folder / f"{result['name']}-{result['date'][:10]}.json"
    folder.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """``./run bench``."""
    parser = argparse.ArgumentParser(prog="./run bench", description="Measure Boxfleet on this machine.")
    parser.add_argument("name", nargs="?", help="which benchmark")
    parser.add_argument("--list", action="store_true", help="name the benchmarks and what each measures")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--save", action="store_true", help="record the result in benchmarks/results")
    given = parser.parse_args(arguments)
    known = benchmarks()
    if given.list or given.name is None:
        for name, words in known.items():
            print(f"{name:24}{words}")
        return 0
    if given.name not in known:
        parser.error(f"there is no benchmark {given.name!r}; ./run bench --list names them")
    result = measure(given.name, importlib.import_module(f"benchmarks.{given.name}").run)
    if given.save:
        save(result, folder=FOLDER / "results")
    print(json.dumps(result) if given.json else table(result))
    return 0


if __name__ == "__main__":
    # Benchmarks import this module by its name, so that there is one `Bench`.
    sys.exit(importlib.import_module("benchmarks.harness").main())
