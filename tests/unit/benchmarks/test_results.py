"""The recorded results: complete, and shown on the page."""

import json
import pathlib
from typing import Any

import pytest
from benchmarks import harness

RESULTS = sorted((harness.FOLDER / "results").glob("*.json"))
PAGE = harness.FOLDER.parent / "docs" / "benchmarks.md"


def newest() -> dict[str, dict[str, Any]]:
    # Names end in the date, so the last of a name is the newest.
    return {result["name"]: result for path in RESULTS if (result := json.loads(path.read_text()))}


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_record_is_whole(path: pathlib.Path) -> None:
    result = json.loads(path.read_text())
    assert path.stem == f"{result['name']}-{result['date'][:10]}"
    assert set(result) == {"name", "date", "machine", "metrics"}
    for metric in result["metrics"]:
        assert set(metric) == {"name", "value", "unit", "target", "peer"}


def test_every_benchmark_has_a_record() -> None:
    assert set(newest()) == set(harness.benchmarks())


def test_the_page_shows_the_newest_records() -> None:
    text = PAGE.read_text()
    assert [name for name, result in newest().items() if harness.table(result) not in text] == []
