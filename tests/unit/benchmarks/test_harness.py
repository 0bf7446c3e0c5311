"""The benchmark harness: finding, measuring, showing."""

import json
import pathlib

import pytest
from benchmarks import harness


async def run(bench: harness.Bench) -> None:
    bench.metric("writes", 8123.4, "/s", target=5000, peer=1060)
    bench.samples("latency", [0.001 * n for n in range(100)], "s")


def test_a_result_has_all_that_is_recorded() -> None:
    result = harness.measure("probe", run)
    assert json.loads(json.dumps(result)) == result
    assert set(result) == {"name", "date", "machine", "metrics"}
    assert result["metrics"][0] == {"name": "writes", "value": 8123.4, "unit": "/s", "target": 5000, "peer": 1060}
    assert [one["name"] for one in result["metrics"][1:]] == ["latency, median", "latency, p99"]
    assert result["metrics"][2]["value"] == pytest.approx(0.098)


def test_the_table_is_for_people() -> None:
    lines = harness.table(harness.measure("probe", run)).splitlines()
    assert lines[0].startswith("probe  (")
    assert lines[2].split() == ["writes", "8,123", "/s", "5,000", "1,060"]


def test_no_figure_without_a_value() -> None:
    with pytest.raises(ValueError, match="finite"):
        harness.Bench("probe").metric("ratio", float("nan"), "")


def test_only_modules_that_run_are_benchmarks(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "good.py").write_text('"""Measures a thing.\n\nMore."""\nasync def run(bench): ...\n')
    (tmp_path / "helper.py").write_text("x = 1\n")
    monkeypatch.setattr(harness, "FOLDER", tmp_path)
    assert harness.benchmarks() == {"good": "Measures a thing."}


def test_an_unknown_name_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        harness.main(["no-such-benchmark"])
    assert ended.value.code == 2
    assert "--list" in capsys.readouterr().err


def test_a_saved_result_reads_back(tmp_path: pathlib.Path) -> None:
    result = harness.measure("probe", run)
    path = harness.save(result, folder=tmp_path / "results")
    assert path.name == f"probe-{result['date'][:10]}.json"
    assert json.loads(path.read_text()) == result
